"""What operators run, for real: database, embedded AWS, Airflow's own knowledge of its runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from pymysql.connections import Connection

from tests.dags.runs import returned, run_dag
from vigil.aws import Aws
from vigil.settings import Settings
from vigil.windows import now

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_metadata")]

REMOVED, BROKEN = "backfill_detections", "retrain_weekly"


def remove_and_break() -> None:
    """Leave Airflow as it is some time after a DAG was removed and another can no longer be read."""
    with create_session() as session:
        dags = {dag.dag_id: dag for dag in session.query(DagModel)}
        dags[REMOVED].relative_fileloc = "removed.py"
        dags[BROKEN].has_import_errors = True
        for dag_id in (REMOVED, BROKEN):
            dags[dag_id].is_stale = True


@pytest.mark.usefixtures("vigil_environment")
def test_the_last_success_of_each_dag_that_is_on_is_reported(aws: Aws, connection: Connection[Any]) -> None:
    on = ("sweep_training_stacks", BROKEN)
    run_dag("sweep_training_stacks", now())
    with create_session() as session:
        for dag in session.query(DagModel):
            dag.is_paused = dag.dag_id not in {*on, REMOVED}
    with connection.cursor() as cursor:
        switched_on = now() - timedelta(days=9)
        watched = [(dag_id, switched_on) for dag_id in (*on, REMOVED)]
        cursor.executemany("INSERT INTO watched_dags VALUES (%s, %s)", watched)
        connection.commit()
    run = run_dag("report_metrics", now(), before={"measure_and_send": remove_and_break})
    assert run.state == "success"
    figures = returned(run, "measure_and_send")
    ages = figures.pop("last_success_age_s")
    assert figures == {"detection_lag_s": None, "oldest_unsent_alert_s": 0, "dirty_windows": 0}
    assert ages.keys() == {*on}
    assert 0 <= ages["sweep_training_stacks"] < 3600
    assert ages["retrain_weekly"] == pytest.approx(9 * 86_400, abs=3600), "it has never succeeded"
    metrics = aws.client("cloudwatch").list_metrics(Namespace="Vigil")["Metrics"]
    assert {"OldestUnsentAlert", "DirtyWindows", "LastSuccessAge"} <= {one["MetricName"] for one in metrics}


def test_what_is_missing_is_in_the_xcom_and_fails_the_run(vigil_environment: Settings) -> None:
    run = run_dag("check_setup", now())
    assert run.state == "failed"
    (task,) = run.get_task_instances()
    findings = {one["what"]: one for one in task.xcom_pull(task_ids="look_at_everything", key="findings")}
    assert findings["database migrations"]["outcome"] == "ok"
    assert findings["bucket"] == {
        "what": "bucket",
        "outcome": "ok",
        "seen": vigil_environment.bucket,
        "fix": "",
    }
    # The bucket and the topic of these tests are made by hand, and nobody hears of alerts.
    assert {what for what, one in findings.items() if one["outcome"] == "fail"} == {
        "bucket versions",
        "bucket encryption",
        "bucket privacy",
        "alert subscribers",
        "roles",
    }

"""The task of `report_metrics`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task

from vigil.operators.environment import load_settings, open_aws, open_database

if TYPE_CHECKING:
    from airflow.sdk.execution_time.comms import DagResult

    from vigil.operations.measuring import DagState

log = logging.getLogger(__name__)


@task(execution_timeout=timedelta(seconds=50))
def measure_and_send(dag_ids: Sequence[str]) -> dict[str, Any]:
    """Measure how far the system is behind, send it to CloudWatch, and return it in seconds.

    Args:
        dag_ids: of the DAGs that have a schedule.
    """
    from vigil.detection.pipeline import load_pipeline
    from vigil.operations.measuring import measure
    from vigil.operations.publishing import publish
    from vigil.windows import now

    settings = load_settings()
    pipeline = load_pipeline(settings.pipeline_file)
    sources = [source.name for source in pipeline.sources]
    states = [state for state in map(_state_of, dag_ids) if state]
    # Taken after Airflow was asked: a run that ended meanwhile would have succeeded in the future.
    moment = now()
    figures = measure(open_database(settings), sources, states, moment)
    publish(open_aws(settings).client("cloudwatch"), settings.environment, figures, moment)
    log.info("%s", figures)
    lag = figures.detection_lag
    return {
        "detection_lag_s": None if lag is None else lag.total_seconds(),
        "oldest_unsent_alert_s": figures.oldest_unsent_alert.total_seconds(),
        "dirty_windows": figures.dirty_windows,
        "last_success_age_s": {dag: age.total_seconds() for dag, age in figures.success_ages.items()},
    }


def _state_of(dag_id: str) -> DagState | None:
    """Ask Airflow what it knows of a DAG; a run without a logical date, as by its API, does not count.

    A DAG that there is not has no age; the others are told all the same.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import GetPreviousDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    from vigil.operations.measuring import DagState
    from vigil.windows import to_utc

    try:
        dag = get_current_context()["ti"].get_dag(dag_id)
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") != HTTPStatus.NOT_FOUND:
            raise
        log.warning("Airflow does not know the DAG %s: its age is not told.", dag_id)
        return None
    if _is_removed(dag):
        log.warning("The file of the DAG %s was removed: its age is not told.", dag_id)
        return None
    # The task's own method asks for its own DAG only.
    asked = GetPreviousDagRun(dag_id=dag_id, logical_date=datetime.now(UTC), state="success")
    answer: Any = SUPERVISOR_COMMS.send(asked)
    ended = answer.dag_run.end_date if answer.dag_run else None
    return DagState(dag_id, not dag.is_paused, to_utc(ended) if ended else None)


def _is_removed(dag: DagResult) -> bool:
    """Tell whether a DAG's file is gone; Airflow remembers the DAG, and calls broken ones stale as well."""
    own = get_current_context()["dag"]
    if not (dag.relative_fileloc and own.relative_fileloc):
        return False  # nothing tells in which folder it would be
    folder = own.fileloc.removesuffix(own.relative_fileloc)
    return not Path(folder, dag.relative_fileloc).exists()

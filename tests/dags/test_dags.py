from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG

from local_stack.dag_docs import FILE, describe

DAGS = Path(__file__).resolve().parents[2] / "dags"

# A new DAG file must be entered here.
INVENTORY = {
    "detect_anomalies": "detect_anomalies.py",
    "backfill_detections": "backfill_detections.py",
    "retrain_weekly": "retrain_weekly.py",
    "retrain_on_new_data": "retrain_on_new_data.py",
    "retrain_on_image_push": "retrain_on_image_push.py",
    "roll_back_model": "roll_back_model.py",
    "launch_training_stack": "launch_training_stack.py",
    "sweep_training_stacks": "sweep_training_stacks.py",
    "check_model_health": "check_model_health.py",
    "snooze_alerts": "snooze_alerts.py",
    "migrate_database": "migrate_database.py",
    "report_metrics": "report_metrics.py",
    "check_setup": "check_setup.py",
}

# (DAG, task that cannot be taken back, tasks that must have succeeded before it)
IRREVERSIBLE = [
    *(
        (
            dag_id,
            "deploy",
            {
                "train",
                "evaluate",
                "judge_candidate",
                "register_candidate",
                "approve",
                "confirm_release_lease",
            },
        )
        for dag_id in ("retrain_weekly", "retrain_on_new_data", "retrain_on_image_push")
    ),
    ("roll_back_model", "deploy", {"choose_version", "take_release_lease"}),
    ("roll_back_model", "leave_version", {"deploy", "verify_deployment"}),
    ("launch_training_stack", "launch", {"settle_launch"}),
    ("retrain_on_new_data", "settle_files", {"train", "register_candidate"}),
]


@cache
def bag() -> DagBag:
    return DagBag(str(DAGS), bundle_name="dags-folder", collect_dags=True)


def dags() -> list[DAG]:
    found = list(bag().dags.values())
    assert found
    return found


def test_every_file_is_read_without_an_error() -> None:
    assert bag().import_errors == {}


def test_the_inventory_is_complete() -> None:
    assert {dag.dag_id: Path(dag.fileloc).name for dag in dags()} == INVENTORY
    assert {file.name for file in DAGS.glob("*.py")} == set(INVENTORY.values())


@pytest.mark.parametrize("dag_id", INVENTORY)
def test_policies(dag_id: str) -> None:
    dag = bag().dags[dag_id]
    # Amazon MWAA's API takes paths of 64 characters at most.
    assert len(dag_id) <= 50
    assert "vigil" in dag.tags
    assert dag.description
    assert dag.doc_md
    assert dag.doc_md.startswith(f"# {dag_id}")
    assert "fails" in dag.doc_md, "a runbook says what to do when a run fails"
    assert dag.catchup is False
    # Launches of different stacks have nothing to do with each other.
    assert dag.max_active_runs == (32 if dag_id == "launch_training_stack" else 1)
    for task in dag.tasks:
        assert task.owner == "vigil"
        # A person's time to answer is the model spec's.
        assert task.execution_timeout or isinstance(task, HITLOperator), task.task_id


def test_the_document_of_all_dags_is_what_make_docs_writes() -> None:
    assert FILE.read_text(encoding="utf-8") == describe(dags())


def test_the_minutely_dag_has_at_most_two_tasks() -> None:
    assert len(bag().dags["detect_anomalies"].tasks) <= 2


def test_the_success_of_every_dag_with_a_schedule_is_watched() -> None:
    scheduled = {dag.dag_id for dag in dags() if dag.timetable.can_be_scheduled}
    (report,) = bag().dags["report_metrics"].tasks
    (watched,) = report.op_args
    assert {*watched, "report_metrics"} == scheduled
    template = (DAGS.parent / "deploy" / "monitoring.yaml").read_text(encoding="utf-8")
    assert sorted(re.findall(r"- Name: Dag\n +Value: (\w+)", template)) == sorted(watched)


@pytest.mark.parametrize(("dag_id", "task_id", "before"), IRREVERSIBLE)
def test_what_cannot_be_taken_back_comes_after_what_allows_it(
    dag_id: str, task_id: str, before: set[str]
) -> None:
    task = bag().dags[dag_id].get_task(task_id)
    assert before <= {upstream.task_id for upstream in task.get_flat_relatives(upstream=True)}
    assert task.trigger_rule == "all_success"

"""Run a DAG in the test process, by `dag.test()`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun

DAGS = Path(__file__).resolve().parents[2] / "dags"


def run_dag(dag_id: str, due: datetime, conf: dict[str, Any] | None = None) -> DagRun:
    """Run a DAG as if it had been due at a time (UTC)."""
    bag = DagBag(str(DAGS / f"{dag_id}.py"), bundle_name="dags-folder")
    assert not bag.import_errors
    dag = bag.dags[dag_id]
    for task in dag.tasks:
        # A test wants the first failure, not the third after minutes.
        task.retries = 0
    return dag.test(logical_date=due.replace(tzinfo=UTC), run_conf=conf or {})


def task_states(run: DagRun) -> dict[str, str]:
    """Return each task's state."""
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def returned(run: DagRun, task_id: str) -> Any:
    """Return what a task returned."""
    (task,) = [task for task in run.get_task_instances() if task.task_id == task_id]
    return task.xcom_pull(task_ids=task_id)

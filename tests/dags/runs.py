"""Run a DAG in the test process, by `dag.test()`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG

import vigil.paths

_BETWEEN_LOOKS_S = 0.02
_sleep = time.sleep

DAGS = Path(__file__).resolve().parents[2] / "dags"


def load_dag(dag_id: str) -> DAG:
    """Read a DAG from its file, as the environment is now."""
    bag = DagBag(str(DAGS / f"{dag_id}.py"), bundle_path=DAGS, bundle_name="dags-folder")
    assert not bag.import_errors
    return bag.dags[dag_id]


def run_dag(
    dag_id: str,
    due: datetime,
    conf: dict[str, Any] | None = None,
    *,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> DagRun:
    """Run a DAG as if it had been due at a time.

    Args:
        dag_id: of the DAG.
        due: moment; naive UTC.
        conf: what the trigger form says.
        before: what happens elsewhere before a task begins, by task; a deferred task begins twice.
    """
    dag = load_dag(dag_id)
    for task in dag.tasks:
        # A test wants the first failure, not the third after minutes.
        task.retries = 0
    for task_id, happens in (before or {}).items():
        dag.get_task(task_id)._pre_execute_hook = lambda context, happens=happens: happens()
    moment = due.replace(tzinfo=UTC)
    # Between two looks at its tasks, `dag.test()` waits for a second.
    with patch("time.sleep", lambda seconds: _sleep(min(seconds, _BETWEEN_LOOKS_S))):
        return dag.test(run_after=moment, logical_date=moment, run_conf=conf or {})


def task_states(run: DagRun) -> dict[str, str]:
    """Return each task's state."""
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def returned(run: DagRun, task_id: str) -> Any:
    """Return what a task returned."""
    (task,) = [task for task in run.get_task_instances() if task.task_id == task_id]
    return task.xcom_pull(task_ids=task_id)


def include_with(spec: Mapping[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let tasks find a copy of include/ in a folder, with a model spec beside the shipped ones."""
    include = folder / "include"
    shutil.copytree(
        vigil.paths.include_dir(), include, ignore=shutil.ignore_patterns("sample-data", "__pycache__")
    )
    write_spec(spec, include)
    monkeypatch.setattr(vigil.paths, "include_dir", lambda: include)
    return include


def write_spec(spec: Mapping[str, Any], include: Path) -> None:
    """Write a model spec into a copy of include/."""
    file = include / "configs" / "models" / f"{spec['name']}.yaml"
    file.write_text(yaml.safe_dump(dict(spec)), encoding="utf-8")

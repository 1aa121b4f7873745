"""Writes docs/DAGS.md: what every DAG is, as its own file says it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local_stack.stack import PROJECT

if TYPE_CHECKING:
    from airflow.sdk import DAG

FILE = PROJECT / "docs" / "DAGS.md"
_HEAD = """\
<!-- Written by `make docs` from the files in dags/: change them, not this. -->
# DAGs

What all of them need before the first run, `check_setup` tells. Times are UTC.

| DAG | what it does | when |
|---|---|---|
"""
_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "maxLength": "at most {} characters",
    "pattern": "like `{}`",
    "format": "{}",
}


def write_dag_docs() -> None:
    """Write the file anew."""
    with tempfile.TemporaryDirectory() as home:
        _point_airflow_at(home)
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(PROJECT / "dags"), bundle_name="dags-folder", collect_dags=True)
        if bag.import_errors:
            raise RuntimeError(f"DAG files cannot be read: {bag.import_errors}")
        FILE.write_text(describe(bag.dags.values()), encoding="utf-8")


def describe(dags: Iterable[DAG]) -> str:
    """Return the whole document."""
    ordered = sorted(dags, key=lambda dag: dag.dag_id)
    index = [f"| [{dag.dag_id}](#{dag.dag_id}) | {dag.description} | {_schedule(dag)} |" for dag in ordered]
    return _HEAD + "\n".join([*index, "", *("\n".join(_section(dag)) for dag in ordered)])


def _section(dag: DAG) -> Iterator[str]:
    yield f"## {dag.dag_id}"
    yield ""
    runs = (
        "one run at a time" if dag.max_active_runs == 1 else f"at most {dag.max_active_runs} runs at a time"
    )
    yield f"{_schedule(dag).capitalize()}, {runs}."
    yield ""
    yield (dag.doc_md or "").partition("\n")[2].strip()
    yield ""
    if dag.params:
        yield "| param | default | may be | says |"
        yield "|---|---|---|---|"
        yield from (_param(dag, name) for name in dag.params)
        yield ""
    yield "| tasks | tries | time limit of a try |"
    yield "|---|---|---|"
    yield from _tasks(dag)
    yield ""


def _schedule(dag: DAG) -> str:
    if dag.schedule is None:
        return "by hand"
    if isinstance(dag.schedule, timedelta):
        return f"every {_length(dag.schedule)}"
    return f"at `{dag.timetable.expression}`"


def _param(dag: DAG, name: str) -> str:
    param = dag.params.get_param(name)
    cells = (f"`{name}`", f"`{_json(param.value)}`", _may_be(param.schema), param.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _may_be(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{_json(value)}`" for value in schema["enum"])
    kinds = schema["type"]
    listed = " or ".join(kinds if isinstance(kinds, list) else [kinds])
    return ", ".join([listed, *(text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema)])


def _tasks(dag: DAG) -> Iterator[str]:
    """Yield a row for each kind of patience, with the tasks that have it in their order."""
    alike: dict[tuple[str, str], list[str]] = {}
    for task in dag.tasks:
        limit = _length(task.execution_timeout) if task.execution_timeout else "none"
        alike.setdefault((str(task.retries + 1), limit), []).append(f"`{task.task_id}`")
    for (tries, limit), names in alike.items():
        yield f"| {', '.join(names)} | {tries} | {limit} |"


def _length(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _point_airflow_at(home: str) -> None:
    """Let Airflow, which is imported after this, know nothing of this machine."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }

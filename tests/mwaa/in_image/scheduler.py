"""What scheduler, DAG processor and triggerer do with the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from watching import Watch, plugin_report, tell

HEAVY = ("matplotlib", "numpy", "pandas", "polars", "pyarrow", "pymysql")


def dag_report(folder: Path) -> dict[str, Any]:
    bag = BundleDagBag(str(folder), bundle_path=folder, bundle_name="dags-folder")
    dags = {}
    for name, dag in bag.dags.items():
        same = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        dags[name] = {
            "tasks": sorted(dag.task_ids),
            "tasks_after_serialization": sorted(same.task_ids),
            "schedule": dag.timetable.summary if hasattr(dag.timetable, "summary") else str(dag.schedule),
            "max_active_runs": dag.max_active_runs,
            "owners": sorted({task.owner for task in dag.tasks}),
            "queues": sorted({task.queue for task in dag.tasks}),
            "tags": sorted(dag.tags),
            "triggers": [rebuilt(watcher.trigger) for watcher in watchers(dag)],
        }
    return {
        "import_errors": bag.import_errors,
        "dags": dags,
        "files": {stat.file: stat.duration.total_seconds() for stat in bag.dagbag_stats},
        "heavy": [name for name in HEAVY if name in sys.modules],
    }


def watchers(dag: Any) -> list[Any]:
    condition = getattr(dag.timetable, "asset_condition", None)
    return [watcher for asset in getattr(condition, "objects", []) for watcher in asset.watchers]


def rebuilt(trigger: Any) -> dict[str, Any]:
    """Do what the triggerer does: make the trigger from its class's name and its arguments."""
    from airflow.sdk._shared.module_loading import import_string

    path, arguments = trigger.serialize()
    again = import_string(path)(**arguments).serialize()
    return {"class": path, "same": again == (path, arguments), "arguments": arguments}


if __name__ == "__main__":
    watch = Watch(sys.argv[2], sys.argv[3])
    # Airflow's processes, too, have loaded these before they look for plugins.
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization

    home = Path(os.environ["AIRFLOW_HOME"])
    report = plugin_report() | dag_report(home / "dags")
    tell(report | watch.report())

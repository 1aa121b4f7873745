"""What a worker does with the package: every module, statement and file of configuration, and a run."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from watching import Watch, plugin_report, tell


def every_module(plugins: Path) -> list[str]:
    """Import everything, lazily imported packages too; return what cannot be."""
    names = [
        ".".join(file.relative_to(plugins).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted((plugins / "vigil").rglob("*.py"))
        if file.name != "__main__.py"
    ]
    problems = []
    for name in [*names, *sys.argv[4].split(",")]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            problems.append(f"{name}: {error}")
    return problems


def every_file() -> dict[str, Any]:
    from vigil.database import statement
    from vigil.detection.pipeline import load_pipeline
    from vigil.migrations import known_migrations
    from vigil.paths import configs_dir, include_dir, sql_dir
    from vigil.training.spec.model import known_models, load_model_spec

    statements = [file.relative_to(sql_dir()).with_suffix("").as_posix() for file in sql_dir().rglob("*.sql")]
    return {
        "include": str(include_dir()),
        "empty_statements": [name for name in statements if not statement(name)],
        "statements": len(statements),
        "migrations": len(known_migrations()),
        "models": [load_model_spec(name).name for name in known_models()],
        "sources": len(load_pipeline(configs_dir() / "pipeline.yaml").sources),
    }


def one_run(folder: Path) -> dict[str, Any]:
    """Run the DAG that runs every minute; return its state and what it says."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.utils.db import initdb

    initdb()
    bag = BundleDagBag(str(folder / "detect_anomalies.py"), bundle_path=folder, bundle_name="dags-folder")
    dag = bag.dags["detect_anomalies"]
    for task in dag.tasks:
        task.retries = 0
    run = dag.test()
    (task,) = run.get_task_instances()
    return {"state": str(run.state), "returned": json.loads(json.dumps(task.xcom_pull(), default=str))}


if __name__ == "__main__":
    watch = Watch(sys.argv[2], sys.argv[3])
    home = Path(os.environ["AIRFLOW_HOME"])
    report = plugin_report()
    report |= {"problems": every_module(home / "plugins")} | every_file()
    if "VIGIL_TEST_RUN" in os.environ:
        report["run"] = one_run(home / "dags")
    tell(report | watch.report())

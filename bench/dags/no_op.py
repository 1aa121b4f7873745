"""# no_op

As many tasks as `detect_anomalies` has, which do nothing: what any run of that size costs in this Airflow.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, BaseOperator


class NoOperator(BaseOperator):
    """Does nothing, on a worker."""

    def execute(self, context: object) -> None:
        """Do nothing."""


with DAG(dag_id="no_op", schedule=None, start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1):
    NoOperator(task_id="nothing")

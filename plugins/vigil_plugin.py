"""What Vigil adds to Airflow itself. The only module that Airflow's scan for plugins runs."""

from __future__ import annotations

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from vigil.one_writer import OneWriter

_ON_SQLITE = conf.get("database", "sql_alchemy_conn", fallback="").startswith("sqlite")


class VigilPlugin(AirflowPlugin):
    """Vigil's own. On Amazon MWAA, and wherever metadata lie in PostgreSQL, it adds nothing."""

    name = "vigil"
    fastapi_root_middlewares = (
        [{"name": "one writer at a time", "middleware": OneWriter}] if _ON_SQLITE else []
    )

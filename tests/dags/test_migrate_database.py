from __future__ import annotations

from datetime import datetime

import pytest

from tests.dags.runs import run_dag
from vigil.database import Database
from vigil.migrations import known_migrations

pytestmark = pytest.mark.airflow
DUE = datetime(2026, 11, 21, 9)


@pytest.fixture
def blank(blank_database: Database, vigil_environment, airflow_metadata, monkeypatch) -> Database:
    login = f"{blank_database.user}:{blank_database.password}@{blank_database.host}:{blank_database.port}"
    monkeypatch.setenv("AIRFLOW_CONN_VIGIL_DATABASE", f"mysql://{login}/{blank_database.name}")
    return blank_database


def test_a_blank_database_gets_every_table_and_files_that_have_not_arrived_are_waited_for(blank) -> None:
    newest = known_migrations()[-1].number
    assert run_dag("migrate_database", DUE, {"up_to": newest + 1}).state == "failed"
    assert tables(blank) == set()
    assert run_dag("migrate_database", DUE.replace(hour=10), {"up_to": newest}).state == "success"
    assert {"events", "window_counts", "schema_migrations"} <= tables(blank)


def tables(database: Database) -> set[str]:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
        return {name for (name,) in cursor.fetchall()}

"""The task of `migrate_database`."""

from __future__ import annotations

import logging

from airflow.sdk import get_current_context, task

from vigil.operators.environment import load_settings, open_database

log = logging.getLogger(__name__)


@task
def migrate_tables() -> list[str]:
    """Apply the migrations that the database does not have; return their names.

    Raises:
        DatabaseError: the files of the deployment have not arrived, or a migration cannot be applied.
    """
    from vigil.errors import DatabaseError
    from vigil.migrations import known_migrations, migrate

    up_to = get_current_context()["params"]["up_to"]
    newest = known_migrations()[-1].number
    if up_to and newest < up_to:
        raise DatabaseError(
            f"The files of migration {up_to:04d} have not arrived, the newest here is {newest:04d}: wait for "
            "the DAGs folder to be brought up to date; it is tried again."
        )
    applied = [f"{one.number:04d} {one.name}" for one in migrate(open_database(load_settings()))]
    log.info("%s", f"Applied {', '.join(applied)}." if applied else "The database is up to date.")
    return applied

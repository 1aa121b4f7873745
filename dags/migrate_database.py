"""# migrate_database

Brings the tables up to date: applies the numbered migrations that the database does not have yet. Every
deployment runs it, and it may be run by hand at any time; when there is nothing to apply, nothing happens.

Migrations go forward only, and the code before a migration works with the tables after it. So nothing has to
be paused, and a roll-back of the code leaves the tables as they are.

**When a run fails**, what was applied stays, and the next run goes on with the migration that failed: each
can be run twice.

| it says | do |
|---|---|
| the files have not arrived | wait: they are on their way to the workers; it is tried again |
| another migration holds the lock | wait for it |
| a migration was edited after it was applied | restore the file, and put the change into a new one |
| a command is denied | the login of `vigil_database` must be allowed to create and alter tables |
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.migrating import migrate_tables

with DAG(
    dag_id="migrate_database",
    description="Bring the database's tables up to date.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    # A deployment that triggers it must not wait for a person who switches it on.
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    params={
        "up_to": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Up to",
            description="Number of the newest migration of the deployment; wait until its file has arrived.",
        ),
    },
    tags=[TAG, "setup"],
):
    migrate_tables()

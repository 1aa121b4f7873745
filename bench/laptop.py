"""A private database for a benchmark, as large as the laptop's own, gone when it ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.mariadb import MariaDB
from local_stack.ports import free_port
from vigil.database import Database
from vigil.migrations import migrate
from vigil.settings import Settings

SETTINGS = Settings(
    bucket="vigil-bench",
    alert_topic_arn="arn:aws:sns:eu-west-1:123456789012:alerts",
    sagemaker_role_arn="arn:aws:iam::123456789012:role/vigil",
)


@contextmanager
def private_database() -> Iterator[Database]:
    """Start a MariaDB with the laptop's options, migrate it, and leave nothing at the end."""
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder:
        server = MariaDB(Path(folder), free_port())
        server.prepare()
        process = server.start()
        try:
            migrate(server.database)
            yield server.database
        finally:
            process.terminate()
            process.wait()

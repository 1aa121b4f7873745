from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymysql.connections import Connection


@pytest.fixture
def rows(connection: Connection[Any]) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a statement on the database as it is now, commit, and return its rows."""

    def run(sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection.commit()
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            found = list(cursor.fetchall())
        connection.commit()
        return found

    return run

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from threading import Barrier

import pymysql
import pytest

from local_stack.ports import free_port
from vigil.database import Database, connected, in_transaction, statement
from vigil.errors import DatabaseError
from vigil.paths import sql_dir


def add_source(name: str, position: str = "{}") -> tuple[str, tuple[str, str, datetime]]:
    sql = "INSERT INTO sources (source, position, updated_at) VALUES (%s, %s, %s)"
    return sql, (name, position, datetime(2026, 1, 1))


def count(database: Database) -> int:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM sources")
        return int(cursor.fetchone()[0])


def test_a_session_that_idles_keeps_its_locks_for_a_quarter_of_an_hour_only(database: Database) -> None:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@session.wait_timeout")
        assert cursor.fetchone() == (900,)


def test_a_session_speaks_utc_and_refuses_what_does_not_fit(database: Database) -> None:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@session.time_zone")
        assert cursor.fetchone() == ("+00:00",)
        with pytest.raises(pymysql.err.DataError):
            cursor.execute(*add_source("x" * 65))


def test_a_transaction_is_whole_or_not_at_all(database: Database) -> None:
    def half(cursor: pymysql.cursors.Cursor) -> None:
        cursor.execute(*add_source("one"))
        raise RuntimeError("killed")

    with connected(database) as connection:
        with pytest.raises(RuntimeError):
            in_transaction(connection, half)
        assert count(database) == 0
        in_transaction(connection, lambda cursor: cursor.execute(*add_source("one")))
    assert count(database) == 1


def test_the_loser_of_a_deadlock_tries_again(database: Database) -> None:
    with connected(database) as connection:
        for name in ("one", "two"):
            in_transaction(connection, lambda cursor, name=name: cursor.execute(*add_source(name)))
    meet = Barrier(2, timeout=20)

    def update_both(names: list[str]) -> int:
        tries = 0

        def work(cursor: pymysql.cursors.Cursor) -> None:
            nonlocal tries
            tries += 1
            for name in names:
                cursor.execute("UPDATE sources SET position = 'x' WHERE source = %s", (name,))
                if tries == 1 and name == names[0]:
                    meet.wait()

        with connected(database) as connection:
            in_transaction(connection, work)
        return tries

    with ThreadPoolExecutor(2) as pool:
        tries = sorted(pool.map(update_both, [["one", "two"], ["two", "one"]]))
    assert tries == [1, 2]


def test_an_unreachable_server_is_named(database: Database) -> None:
    nowhere = replace(database, port=free_port())
    with pytest.raises(DatabaseError, match=f"127.0.0.1:{nowhere.port}.*cannot be reached"):
        nowhere.connect()


def test_a_refused_login_says_what_to_check_and_no_password(database: Database) -> None:
    with pytest.raises(DatabaseError, match="refuses the login") as error:
        replace(database, password="wrong-secret").connect()
    assert "wrong-secret" not in str(error.value)


def test_a_missing_schema_is_named(database: Database) -> None:
    with pytest.raises(DatabaseError, match="schema nowhere does not exist"):
        replace(database, name="nowhere").connect()


def test_a_statement_comes_without_its_header() -> None:
    names = [str(file.relative_to(sql_dir()).with_suffix("")) for file in sql_dir().glob("*/*.sql")]
    assert names
    for name in names:
        assert not any(line.lstrip().startswith("--") for line in statement(name).splitlines()), name

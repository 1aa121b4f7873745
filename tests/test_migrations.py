from __future__ import annotations

from pathlib import Path

import pytest

from vigil.database import Database, connected, in_transaction
from vigil.errors import DatabaseError
from vigil.migrations import known_migrations, migrate


def test_a_second_migration_applies_nothing(blank_database: Database) -> None:
    assert migrate(blank_database) == known_migrations()
    assert migrate(blank_database) == []


def test_a_migration_killed_halfway_is_finished_by_the_next(blank_database: Database, tmp_path: Path) -> None:
    text = "CREATE TABLE IF NOT EXISTS one (a INT);\nCREATE TABLE IF NOT EXISTS two (a INT)\n"
    (tmp_path / "0001_create_two.sql").write_text(text)
    with connected(blank_database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE one (a INT)")
    assert [m.number for m in migrate(blank_database, tmp_path)] == [1]
    with connected(blank_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM two")
        assert cursor.fetchone() == (0,)


def test_an_edited_migration_is_refused(blank_database: Database, tmp_path: Path) -> None:
    file = tmp_path / "0001_create_one.sql"
    file.write_text("CREATE TABLE IF NOT EXISTS one (a INT)")
    migrate(blank_database, tmp_path)
    file.write_text("CREATE TABLE IF NOT EXISTS one (a BIGINT)")
    with pytest.raises(DatabaseError, match="0001_create_one was edited"):
        migrate(blank_database, tmp_path)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_create_one.sql").write_text("")
    with pytest.raises(DatabaseError, match="not numbered"):
        known_migrations(tmp_path)


def test_a_schema_without_tables_is_told_apart_from_other_errors(blank_database: Database) -> None:
    with (
        connected(blank_database) as connection,
        pytest.raises(DatabaseError, match=r"not migrated.*vigil\.migrations"),
    ):
        in_transaction(connection, lambda cursor: cursor.execute("SELECT * FROM events"))

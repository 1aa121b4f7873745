from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction
from vigil.errors import DatabaseError
from vigil.migrations import Migration, known_migrations, migrate
from vigil.paths import sql_dir


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


@pytest.mark.parametrize("migration", known_migrations(), ids=lambda migration: migration.name)
def test_every_migration_may_be_killed_behind_any_statement_and_run_again(
    blank_database: Database, migration: Migration
) -> None:
    """Each statement finds what it made before, and what those behind it made."""
    migrate(blank_database)
    with connected(blank_database) as connection, connection.cursor() as cursor:
        before = schema_of(cursor)
        for statements in range(1, len(migration.statements) + 1):
            for text in migration.statements[:statements]:
                cursor.execute(text)
        cursor.execute("DELETE FROM schema_migrations WHERE number = %s", (migration.number,))
        connection.commit()
    assert migrate(blank_database) == [migration]
    with connected(blank_database) as connection, connection.cursor() as cursor:
        assert schema_of(cursor) == before


def schema_of(cursor: Cursor) -> list[tuple[object, ...]]:
    cursor.execute(
        "SELECT table_name, column_name, column_type, is_nullable, column_default, column_comment"
        " FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name <> 'schema_migrations'"
        " ORDER BY 1, 2"
    )
    return list(cursor.fetchall())


def test_verdicts_and_counts_from_before_statistics_are_kept(
    blank_database: Database, tmp_path: Path
) -> None:
    for file in sorted((sql_dir() / "migrations").glob("*.sql"))[:4]:
        shutil.copy(file, tmp_path)
    migrate(blank_database, tmp_path)
    with connected(blank_database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO window_counts (series, window_start, observed, counted_at)"
            " VALUES ('orders', '2026-01-05', 9, '2026-01-05 00:06:00')"
        )
        cursor.execute(
            "INSERT INTO predictions (series, window_start, revision, model_version, observed, expected,"
            " lower_bound, upper_bound, score, verdict, judged_at)"
            " VALUES ('orders', '2026-01-05', 1, 'a/1', 9, 5, 1, 8, 1.25, 'high', '2026-01-05 00:07:00')"
        )
        connection.commit()
    migrate(blank_database)
    with connected(blank_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT observed, expected, usual FROM window_counts")
        assert cursor.fetchall() == ((9, None, None),)
        cursor.execute("SELECT score, extrapolated, verdict FROM predictions")
        assert cursor.fetchall() == ((1.25, 0, "high"),)

"""Numbered migrations, forward only: `python -m vigil.migrations` brings the schema up to date.

MySQL commits each DDL statement by itself, so every statement of a migration can run twice, and a migration
counts as applied only after its last one. A named lock lets one migrator work at a time.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from pymysql.cursors import Cursor

from vigil.database import Database, connected
from vigil.errors import DatabaseError
from vigil.paths import sql_dir

_LOCK = "vigil.migrations"
_LOCK_WAIT_S = 60
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOG_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  number      INT          NOT NULL,
  name        VARCHAR(100) NOT NULL,
  checksum    CHAR(64)     NOT NULL,
  applied_at  DATETIME(6)  NOT NULL,
  PRIMARY KEY (number)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
"""


@dataclass(frozen=True)
class Migration:
    """One file of `include/sql/migrations/`."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Return the SHA-256 of the file, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """Return the statements, comments left out."""
        code = "\n".join(line for line in self.text.splitlines() if not line.lstrip().startswith("--"))
        return [part.strip() for part in re.split(r";\s*$", code, flags=re.MULTILINE) if part.strip()]


def known_migrations(folder: Path | None = None) -> list[Migration]:
    """Return the migrations of a folder in order.

    Raises:
        DatabaseError: a file is misnamed, or the numbers have a gap.
    """
    folder = folder or sql_dir() / "migrations"
    migrations = []
    for file in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(file.name)
        if not match:
            raise DatabaseError(f"{file.name} is no migration's name: it must read 0007_do_something.sql.")
        migrations.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    if [m.number for m in migrations] != list(range(1, len(migrations) + 1)):
        raise DatabaseError(f"The migrations in {folder} are not numbered 1, 2, 3 and so on.")
    return migrations


def migrate(database: Database, folder: Path | None = None) -> list[Migration]:
    """Apply the migrations that the database does not have yet; return them.

    Raises:
        DatabaseError: another migrator works for too long, or an applied migration was edited afterwards.
    """
    applied = []
    with connected(database) as connection, connection.cursor() as cursor:
        _take_lock(cursor)
        cursor.execute(_LOG_TABLE)
        have = _applied_checksums(cursor)
        for migration in known_migrations(folder):
            if migration.number in have:
                _check_unchanged(migration, have[migration.number])
                continue
            for text in migration.statements:
                cursor.execute(text)
            cursor.execute(
                "INSERT INTO schema_migrations (number, name, checksum, applied_at)"
                " VALUES (%s, %s, %s, UTC_TIMESTAMP(6))",
                (migration.number, migration.name, migration.checksum),
            )
            connection.commit()
            applied.append(migration)
    return applied


def pending_migrations(database: Database, folder: Path | None = None) -> list[Migration]:
    """Return the migrations that the database does not have yet; change nothing.

    Raises:
        DatabaseError: an applied migration was edited afterwards.
    """
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES LIKE 'schema_migrations'")
        have = _applied_checksums(cursor) if cursor.fetchone() else {}
    known = known_migrations(folder)
    for migration in known:
        if migration.number in have:
            _check_unchanged(migration, have[migration.number])
    return [migration for migration in known if migration.number not in have]


def _take_lock(cursor: Cursor) -> None:
    cursor.execute("SELECT GET_LOCK(%s, %s)", (_LOCK, _LOCK_WAIT_S))
    row = cursor.fetchone()
    if row is None or row[0] != 1:
        raise DatabaseError(
            f"Another migration has held the lock for {_LOCK_WAIT_S} s: wait for it, then retry."
        )


def _applied_checksums(cursor: Cursor) -> dict[int, str]:
    cursor.execute("SELECT number, checksum FROM schema_migrations")
    return dict(cursor.fetchall())


def _check_unchanged(migration: Migration, checksum: str) -> None:
    if migration.checksum != checksum:
        raise DatabaseError(
            f"Migration {migration.number:04d}_{migration.name} was edited after it was applied: restore it, "
            "and put the change into a new migration."
        )


def main() -> None:
    """Migrate the database that the environment names."""
    from vigil.settings import database_from_environment

    applied = migrate(database_from_environment())
    for migration in applied:
        print(f"applied {migration.number:04d} {migration.name}")
    if not applied:
        print("the database is up to date")


if __name__ == "__main__":
    main()

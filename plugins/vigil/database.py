"""The MySQL-family database: connections, transactions that survive deadlocks, statements from files.

Works with MySQL 8.4, Aurora MySQL 3 and MariaDB 10.11; SQL lies in `include/sql/`, values are always bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLError
from typing import Any, TypeVar

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR, ER
from pymysql.cursors import Cursor
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from vigil.errors import DatabaseError
from vigil.paths import sql_dir

T = TypeVar("T")

# A host that vanishes keeps its locks until the server ends its connection: by default after eight hours.
_IDLE_S = 900
# Strict, so that a wrong value is an error and not a warning; the same on every server.
_SESSION = (
    f"SET SESSION time_zone = '+00:00', group_concat_max_len = 1048576, wait_timeout = {_IDLE_S}, "
    "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'"
)
_READ_COMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
_MISSING_TABLE = ER.NO_SUCH_TABLE
# PyMySQL has no name for it; MariaDB 10.11 says that access is denied.
_ENCRYPTION_REQUIRED = 3159
_ACCESS_DENIED = (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR)


class _EncryptedConnection(Connection):
    """A connection that tells no login to a server that does not encrypt: PyMySQL alone would."""

    server_capabilities: int

    def _request_authentication(self) -> None:
        if not self.server_capabilities & CLIENT.SSL:
            raise pymysql.err.OperationalError(CR.CR_SSL_CONNECTION_ERROR, "it does not encrypt")
        super()._request_authentication()  # type: ignore[misc]


@dataclass(frozen=True)
class Database:
    """Tells where the database is and how to log in.

    Attributes:
        host: name or address of the server.
        port: its TCP port.
        user: who logs in.
        password: never shown.
        name: the schema that holds the tables.
        ca_file: certificates to check the server and its name by; without it the connection is not encrypted,
            with it never unencrypted.
        connect_timeout_s: seconds until an unreachable server is an error.
        read_timeout_s: seconds one statement may be silent before the connection is given up.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    name: str
    ca_file: str | None = None
    connect_timeout_s: int = 10
    read_timeout_s: int = 600

    def connect(self, cursor_class: type[Cursor] = Cursor, **options: Any) -> Connection[Any]:
        """Open a connection: UTC, strict, READ COMMITTED, no autocommit; the server ends it when it idles.

        Raises:
            DatabaseError: the server cannot be reached or trusted, or refuses the login or the schema.
        """
        connect = _EncryptedConnection if self.ca_file else Connection
        try:
            connection: Connection[Any] = connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                database=self.name,
                charset="utf8mb4",
                connect_timeout=self.connect_timeout_s,
                read_timeout=self.read_timeout_s,
                cursorclass=cursor_class,
                autocommit=False,
                ssl={"ca": self.ca_file} if self.ca_file else None,
                **options,
            )
        except pymysql.err.OperationalError as error:
            raise DatabaseError(self._why_not_connected(error)) from error
        except (FileNotFoundError, SSLError) as error:
            raise DatabaseError(
                f"The certificates {self.ca_file} cannot be read ({error}), and no connection to {self.host} "
                "is made without them: put the file there (`make deploy` fetches that of Amazon RDS), or "
                "mend the setting database_ca_file or the connection's ssl_ca."
            ) from error
        with connection.cursor() as cursor:
            cursor.execute(_SESSION)
            cursor.execute(_READ_COMMITTED)
        return connection

    def _why_not_connected(self, error: pymysql.err.OperationalError) -> str:
        where = f"{self.user}@{self.host}:{self.port}/{self.name}"
        if error.args[0] == _ENCRYPTION_REQUIRED:
            return (
                f"The database {where} takes encrypted connections only: set database_ca_file, or the "
                "connection's ssl_ca, to the certificates that the server is checked by."
            )
        if error.args[0] in _ACCESS_DENIED:
            unencrypted = (
                "" if self.ca_file else ", and whether the server asks for encryption (database_ca_file)"
            )
            return (
                f"The database {where} refuses the login: check user, password and grants of the "
                f"connection{unencrypted}."
            )
        if error.args[0] == ER.BAD_DB_ERROR:
            return (
                f"The schema {self.name} does not exist on {self.host}:{self.port}: create it, then migrate."
            )
        if error.args[0] == CR.CR_SSL_CONNECTION_ERROR or isinstance(
            getattr(error, "original_exception", None), SSLError
        ):
            return (
                f"The server {self.host}:{self.port} is not trusted ({error.args[-1]}), and no login was "
                f"told to it: have it encrypt with a certificate for its name that {self.ca_file} vouches "
                "for, or mend the setting database_ca_file or the connection's ssl_ca."
            )
        return (
            f"The database {where} cannot be reached ({error.args[-1]}): is the server up, and are host and "
            "port of the connection right?"
        )


@contextmanager
def connected(
    database: Database, cursor_class: type[Cursor] = Cursor, **options: Any
) -> Iterator[Connection[Any]]:
    """Open a connection and close it at the end; what was not committed is rolled back."""
    connection = database.connect(cursor_class, **options)
    try:
        yield connection
    finally:
        connection.close()


def _lost_a_lock_race(error: BaseException) -> bool:
    return isinstance(error, pymysql.err.OperationalError) and error.args[0] in (
        ER.LOCK_DEADLOCK,
        ER.LOCK_WAIT_TIMEOUT,
    )


@retry(
    retry=retry_if_exception(_lost_a_lock_race),
    wait=wait_random_exponential(multiplier=0.05, max=2),
    stop=stop_after_attempt(8),
    reraise=True,
)
def in_transaction(connection: Connection[Any], work: Callable[[Cursor], T]) -> T:
    """Run `work` in one transaction and commit; run it again when it lost a race for locks.

    Args:
        connection: an open connection with nothing uncommitted on it.
        work: gets a cursor; must be repeatable as a whole.

    Raises:
        DatabaseError: a table is missing, so the migrations have not run.
    """
    try:
        with connection.cursor() as cursor:
            result = work(cursor)
        connection.commit()
    except BaseException as error:
        # After a lost connection there is nothing to roll back, and trying would hide the error.
        if connection.open:
            connection.rollback()
        if isinstance(error, pymysql.err.ProgrammingError) and error.args[0] == _MISSING_TABLE:
            raise DatabaseError(
                f"{error.args[1]}: the database is not migrated. Run `python -m vigil.migrations` "
                "(`make up` does it on a laptop)."
            ) from error
        raise
    return result


@cache
def statement(name: str) -> str:
    """Return the SQL in `include/sql/<name>.sql`, without its header comment.

    Comments go because PyMySQL would take a percent sign in them for a parameter, and batches a statement
    only if it begins with INSERT.
    """
    text = (sql_dir() / f"{name}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip().rstrip(";")

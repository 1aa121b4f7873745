"""One release at a time per endpoint: a lease in the database, renewed while the release works.

Who waited for it finds another champion than the one it was judged against, and must be judged anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import in_transaction, statement
from vigil.errors import VigilError

DURATION = timedelta(minutes=15)


class LeaseLostError(VigilError):
    """The lease ran out, and somebody else may be releasing to the endpoint."""


@dataclass(frozen=True)
class Lease:
    """Who may release to an endpoint.

    Attributes:
        endpoint: its name.
        holder: who may.
        expires_at: by the database's clock, unless it is renewed before.
    """

    endpoint: str
    holder: str
    expires_at: datetime


def take_lease(
    connection: Connection[Any], endpoint: str, holder: str, duration: timedelta = DURATION
) -> Lease:
    """Take an endpoint's lease if it is free; taking one's own again renews it.

    Args:
        connection: an open connection with nothing uncommitted on it.
        endpoint: its name.
        holder: the same for each retry of a release.
        duration: until it expires.

    Returns:
        The lease as it stands now: it was taken if its holder is `holder`, else somebody else has it.
    """

    def work(cursor: Cursor) -> Lease:
        values = {"endpoint": endpoint, "holder": holder, "seconds": duration.total_seconds()}
        cursor.execute(statement("release/take_lease"), values)
        cursor.execute(statement("release/select_lease"), {"endpoint": endpoint})
        row = cursor.fetchone()
        assert row is not None  # noqa: S101 - the statement before made it
        return Lease(endpoint, row[0], row[1])

    return in_transaction(connection, work)


def holder_of(connection: Connection[Any], endpoint: str) -> str | None:
    """Return who holds an endpoint's lease, if somebody does."""

    def work(cursor: Cursor) -> str | None:
        cursor.execute(statement("release/select_lease"), {"endpoint": endpoint})
        row = cursor.fetchone()
        return None if row is None or row[2] else str(row[0])

    return in_transaction(connection, work)


def renew_lease(
    connection: Connection[Any], endpoint: str, holder: str, duration: timedelta = DURATION
) -> None:
    """Push back the end of a lease.

    Raises:
        LeaseLostError: it has run out.
    """
    values = {"endpoint": endpoint, "holder": holder, "seconds": duration.total_seconds()}
    if not in_transaction(
        connection, lambda cursor: cursor.execute(statement("release/renew_lease"), values)
    ):
        raise LeaseLostError(
            f"{holder} no longer holds the release lease of the endpoint {endpoint}: it was not renewed in "
            "time. Retry: it will be taken again when it is free."
        )


def give_back_lease(connection: Connection[Any], endpoint: str, holder: str) -> None:
    """Let the next release go on; a lease that is somebody else's by now stays theirs."""
    values = {"endpoint": endpoint, "holder": holder}
    in_transaction(connection, lambda cursor: cursor.execute(statement("release/delete_lease"), values))

"""Keeps raw events in weekly partitions, made ahead of time and dropped whole.

A change of them waits until nobody reads the events, and everybody who comes later waits behind it: so it
gives up soon and leaves it to the next run. Between the first try and the last that may fail lie weeks.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pymysql
from pymysql.constants import ER
from pymysql.cursors import Cursor

from vigil.database import Database, connected, statement
from vigil.errors import DatabaseError

_LOCK = "vigil.retention"
_WEEK = timedelta(weeks=1)
_WEEKS_AHEAD = 4
_MONDAY = datetime(1970, 1, 5)
_FUTURE = "p_future"
PATIENCE_S = 3

log = logging.getLogger(__name__)


def dropped_before(now: datetime, event_retention: timedelta) -> datetime:
    """Return the time before which events may be gone.

    It lies a day behind the oldest event that is accepted, so that collectors whose clocks differ agree: a
    window that one of them still recounts is not dropped by the other.
    """
    return now - event_retention - timedelta(days=1)


def keep_partitions(database: Database, event_retention: timedelta, now: datetime) -> None:
    """Make the partitions that are missing and drop those that are past retention; rerunnable.

    When another process is at it already, there is nothing to do. When somebody reads the events for long,
    it is left to the next run, while there is time.

    Raises:
        DatabaseError: no time is left: next week has no partition, or an old one is weeks past retention.
    """
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", (_LOCK,))
        if cursor.fetchone() != (1,):
            return
        partitions = _partitions(cursor)
        oldest = dropped_before(now, event_retention)
        cursor.execute("SET SESSION lock_wait_timeout = %s", (PATIENCE_S,))
        try:
            _make_missing(cursor, partitions, now, event_retention)
            _drop_expired(cursor, partitions, oldest)
        except pymysql.err.OperationalError as error:
            if error.args[0] != ER.LOCK_WAIT_TIMEOUT:
                raise
            if not _can_wait(partitions, now, oldest):
                raise DatabaseError(
                    "The table events is read without a pause, and its weekly partitions cannot be changed "
                    "any more: end the long SELECT, dump or open transaction (SHOW PROCESSLIST lists them)."
                ) from error
            log.warning("The events are being read: the next run changes their partitions")
        # Closing the connection would release it too, but only some moments later.
        cursor.execute("SELECT RELEASE_LOCK(%s)", (_LOCK,))


def _partitions(cursor: Cursor) -> list[datetime]:
    """Return the Mondays on which the weekly partitions begin."""
    cursor.execute(statement("detection/select_partitions"))
    return [datetime.strptime(name, "p%Y%m%d") for (name,) in cursor.fetchall() if name != _FUTURE]


def _make_missing(
    cursor: Cursor, partitions: list[datetime], now: datetime, event_retention: timedelta
) -> None:
    """Cut the weeks that are missing out of the last partition, which holds whatever comes after."""
    first = max(partitions) + _WEEK if partitions else _monday_of(now - event_retention)
    weeks = []
    while first <= _monday_of(now) + _WEEKS_AHEAD * _WEEK:
        weeks.append(f"PARTITION {_name(first)} VALUES LESS THAN ('{first + _WEEK:%Y-%m-%d}')")
        first += _WEEK
    if weeks:
        cursor.execute(
            f"ALTER TABLE events REORGANIZE PARTITION {_FUTURE} INTO "
            f"({', '.join(weeks)}, PARTITION {_FUTURE} VALUES LESS THAN (MAXVALUE))"
        )


def _drop_expired(cursor: Cursor, partitions: list[datetime], oldest: datetime) -> None:
    expired = [week for week in partitions if week + _WEEK <= oldest]
    if expired:
        cursor.execute(f"ALTER TABLE events DROP PARTITION {', '.join(map(_name, expired))}")


def _can_wait(partitions: list[datetime], now: datetime, oldest: datetime) -> bool:
    """Tell whether what is missing or expired may stay so for a week or more."""
    return (
        bool(partitions)
        and max(partitions) > _monday_of(now)
        and min(partitions) > oldest - _WEEKS_AHEAD * _WEEK
    )


def _monday_of(instant: datetime) -> datetime:
    return instant - (instant - _MONDAY) % _WEEK


def _name(week: datetime) -> str:
    return f"p{week:%Y%m%d}"

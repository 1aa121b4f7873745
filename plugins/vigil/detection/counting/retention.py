"""Keeps raw events in weekly partitions, made ahead of time and dropped whole."""

from __future__ import annotations

from datetime import datetime, timedelta

from pymysql.cursors import Cursor

from vigil.database import Database, connected, statement

_LOCK = "vigil.retention"
_WEEK = timedelta(weeks=1)
_WEEKS_AHEAD = 4
_MONDAY = datetime(1970, 1, 5)
_FUTURE = "p_future"


def dropped_before(now: datetime, event_retention: timedelta) -> datetime:
    """Return the time before which events may be gone.

    It lies a day behind the oldest event that is accepted, so that collectors whose clocks differ agree: a
    window that one of them still recounts is not dropped by the other.
    """
    return now - event_retention - timedelta(days=1)


def keep_partitions(database: Database, event_retention: timedelta, now: datetime) -> None:
    """Make the partitions that are missing and drop those that are past retention; rerunnable.

    When another process is at it already, there is nothing to do.
    """
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", (_LOCK,))
        if cursor.fetchone() != (1,):
            return
        partitions = _partitions(cursor)
        _make_missing(cursor, partitions, now, event_retention)
        oldest = dropped_before(now, event_retention)
        expired = [week for week in partitions if week + _WEEK <= oldest]
        if expired:
            cursor.execute(f"ALTER TABLE events DROP PARTITION {', '.join(map(_name, expired))}")
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


def _monday_of(instant: datetime) -> datetime:
    return instant - (instant - _MONDAY) % _WEEK


def _name(week: datetime) -> str:
    return f"p{week:%Y%m%d}"

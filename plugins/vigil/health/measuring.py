"""Measures what the model said against what was counted, by day, series and model version.

Of several verdicts on a window the one on its newest count holds, and of several versions that judged this
count the one that judged last. Truth is the count of now, which a recount may have changed since.

A window outside its band counts for the coverage, and not for WAPE and bias: an incident is no fault of the
model, and a spike of one hour would drown the errors of the day. Nothing hides behind that. A model that has
gone wrong by more than its band shows in the coverage, one that drifts within its band in WAPE and bias.

A day is measured when it is over, and again until no late event can change it any more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial

from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement
from vigil.health_limits import LONGEST_SPELL_DAYS
from vigil.settings import Settings

_DAY = timedelta(days=1)
# So many names in a list are read as ranges of the primary key; MariaDB turns a list of a thousand into a
# join, and MySQL gives ranges up that need too much memory.
_SERIES_PER_STATEMENT = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        days: in order.
        rows: of series and model version, of all days together.
    """

    days: tuple[date, ...]
    rows: int


def measure(database: Database, model: str, settings: Settings, now: datetime) -> Measured:
    """Measure every day that is over, not measured yet or still open to late events; may be run again.

    Days before the first release and days too long past to matter are left out.

    Args:
        database: with verdicts and counts.
        model: name of the model spec whose versions judge.
        settings: say how late events may come.
        now: the present time.
    """
    with connected(database) as connection:
        days = in_transaction(connection, partial(_days_to_measure, model=model, settings=settings, now=now))
        rows = 0
        for day in days:
            measured = in_transaction(connection, partial(_measure_day, day=day, now=now))
            log.info("Measured %s: %d rows", day, measured)
            rows += measured
    return Measured(tuple(days), rows)


def last_whole_day(now: datetime, allowed_lateness: timedelta) -> date:
    """Return the last day whose windows may all be judged."""
    return (now - allowed_lateness).date() - _DAY


def _days_to_measure(cursor: Cursor, model: str, settings: Settings, now: datetime) -> list[date]:
    cursor.execute(statement("health/select_first_release"), {"model": model})
    ((first_release,),) = cursor.fetchall()
    if first_release is None:
        return []
    last = last_whole_day(now, settings.allowed_lateness)
    first = max(first_release.date(), last - LONGEST_SPELL_DAYS * _DAY)
    cursor.execute(statement("health/select_measured_days"), {"first": first})
    measured_at: dict[date, datetime] = dict(cursor.fetchall())
    days = [first + place * _DAY for place in range((last - first).days + 1)]
    return [
        day
        for day in days
        if day not in measured_at
        or measured_at[day] < _midnight(day + _DAY) + settings.too_late_after + settings.allowed_lateness
    ]


def _measure_day(cursor: Cursor, day: date, now: datetime) -> int:
    """Measure one day, in place of what was measured of it before; return how many rows it has."""
    # First, so that of two who measure the same day one waits for the other.
    cursor.execute(statement("health/insert_measured_day"), {"day": day, "now": now})
    cursor.execute(statement("health/delete_day"), {"day": day})
    period = {"day": day, "start": _midnight(day), "end": _midnight(day + _DAY)}
    cursor.execute(statement("health/select_series_of_day"), period)
    series = [name for (name,) in cursor.fetchall()]
    return sum(
        cursor.execute(statement("health/measure_day"), {**period, "series": names})
        for names in _some_at_a_time(series)
    )


def _some_at_a_time(series: Sequence[str]) -> list[Sequence[str]]:
    step = _SERIES_PER_STATEMENT
    return [series[place : place + step] for place in range(0, len(series), step)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())

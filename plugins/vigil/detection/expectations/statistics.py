"""Draws the statistics that a day is judged by, from counts and verdicts of the weeks before it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import in_transaction, statement
from vigil.detection.expectations.windows_of_series import read_windows
from vigil.grid import FIVE_MINUTES
from vigil.series_statistics import DAYS_BACK, SeriesStatistics, statistics_by_day
from vigil.windows import window_number

_DAY = timedelta(days=1)
_BACK = DAYS_BACK * _DAY
# Three weeks of so many series are some megabytes of text.
_SERIES_PER_STEP = 50


def keep_statistics(
    connection: Connection[Any], day: datetime, *, anew: bool = False, at_most: int | None = None
) -> int:
    """Draw the statistics that some day is judged by, of every series of which the day before is counted.

    Args:
        connection: an open connection with nothing uncommitted on it.
        day: midnight at which it begins.
        anew: draw those too that are there, for their past was judged again.
        at_most: so many series; the others keep their newest statistics until it is their turn.

    Returns:
        Of how many series.
    """
    select = partial(_series_to_draw, day=day, anew=anew)
    series = in_transaction(connection, select)
    series = series[:at_most]
    for place in range(0, len(series), _SERIES_PER_STEP):
        names = series[place : place + _SERIES_PER_STEP]
        in_transaction(connection, partial(_keep_some, names=names, day=day))
    return len(series)


def _series_to_draw(cursor: Cursor, day: datetime, anew: bool) -> list[str]:
    cursor.execute(
        statement("detection/select_series_without_statistics"),
        {"start": day - _DAY, "end": day, "anew": anew},
    )
    return [series for (series,) in cursor.fetchall()]


def _keep_some(cursor: Cursor, names: Sequence[str], day: datetime) -> None:
    number = window_number(day) // FIVE_MINUTES.windows_per_day
    rows: list[tuple[str, Any, float, str]] = []
    for windows in read_windows(cursor, names, day - _BACK, day):
        drawn = statistics_by_day(
            windows.first, windows.observed, windows.expected, range(number, number + 1)
        )
        rows.extend(_row(windows.series, day, statistics) for statistics in drawn)
    cursor.executemany(
        statement("detection/insert_statistics"), [row for row in rows if not np.isnan(row[2])]
    )


def _row(series: str, day: datetime, statistics: SeriesStatistics) -> tuple[str, Any, float, str]:
    return series, day.date(), statistics.level, json.dumps(statistics.tails_to_json())

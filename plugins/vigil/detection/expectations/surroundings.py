"""Reads what lies around windows that are to be judged: their last half day, and their series' statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymysql.cursors import Cursor

from vigil.calibration import SeriesWindows
from vigil.database import statement
from vigil.detection.expectations.windows_of_series import read_windows
from vigil.detection.verdicts import Count
from vigil.deviations import longest_span
from vigil.series_statistics import nothing_known, tails_from_json
from vigil.windows import WINDOW, window_number

_BEFORE = longest_span() - 1
_EPOCH_DAY = date(1970, 1, 1)
_WINDOWS_PER_DAY = 288
_SERIES_PER_QUERY = 500
# Nobody drew statistics for so long: those of the calibration are newer.
_OLDEST_STATISTICS = timedelta(days=14)


@dataclass(frozen=True)
class Surroundings:
    """Some windows of one series to judge, and what they are judged by.

    Attributes:
        places: of the windows to judge among all that were asked for, n of them.
        windows: from half a day before the first to the last of them; what was expected of those to judge is
            still to be filled in.
        targets: positions of those to judge, shape (n,).
        levels: of all the windows, shape (m,).
        tails: of those to judge, shape (n, views, spans, 2).
    """

    places: NDArray[np.int64]
    windows: SeriesWindows
    targets: NDArray[np.int64]
    levels: NDArray[np.float64]
    tails: NDArray[np.float64]


def read_surroundings(cursor: Cursor, counts: Sequence[Count]) -> Iterator[Surroundings]:
    """Yield the surroundings of some windows, a series at a time.

    Args:
        cursor: of an open connection.
        counts: of the windows to judge, in any order.
    """
    asked = _by_series(counts)
    recent = _recent_windows(cursor, asked)
    statistics = _statistics(cursor, asked)
    for series in asked:
        yield _surroundings(series, recent.get(series.series), statistics.get(series.series, []))


@dataclass(frozen=True)
class _Asked:
    """The windows of one series, in order."""

    places: list[int]
    counts: list[Count]

    @property
    def series(self) -> str:
        return self.counts[0].series

    @property
    def first(self) -> datetime:
        return self.counts[0].window_start - _BEFORE * WINDOW

    @property
    def end(self) -> datetime:
        return self.counts[-1].window_start + WINDOW


def _by_series(counts: Sequence[Count]) -> list[_Asked]:
    places: dict[str, list[int]] = {}
    for place in sorted(range(len(counts)), key=lambda place: counts[place].window_start):
        places.setdefault(counts[place].series, []).append(place)
    return [_Asked(own, [counts[place] for place in own]) for own in places.values()]


def _recent_windows(cursor: Cursor, asked: Sequence[_Asked]) -> dict[str, SeriesWindows]:
    """Return the windows before and between those to judge, by series."""
    recent: dict[str, SeriesWindows] = {}
    for place in range(0, len(asked), _SERIES_PER_QUERY):
        some = asked[place : place + _SERIES_PER_QUERY]
        # Windows that are judged at once lie within a day, so that none of the series is read far too widely.
        first, end = min(own.first for own in some), max(own.end for own in some)
        for windows in read_windows(cursor, [own.series for own in some], first, end):
            recent[windows.series] = windows
    return recent


def _statistics(cursor: Cursor, asked: Sequence[_Asked]) -> dict[str, list[tuple[Any, ...]]]:
    """Return day, level and tails by series, in the order of days; older ones if none were drawn lately."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for place in range(0, len(asked), _SERIES_PER_QUERY):
        some = asked[place : place + _SERIES_PER_QUERY]
        earliest, last = min(own.first for own in some), max(own.end for own in some)
        cursor.execute(
            statement("detection/select_statistics"),
            {
                "series": [own.series for own in some],
                "first": (earliest - _OLDEST_STATISTICS).date(),
                "last": last.date(),
            },
        )
        for series, *row in cursor.fetchall():
            found.setdefault(series, []).append(tuple(row))
    return found


def _surroundings(
    asked: _Asked, recent: SeriesWindows | None, statistics: Sequence[tuple[Any, ...]]
) -> Surroundings:
    first, end = window_number(asked.first), window_number(asked.end)
    observed = np.full(end - first, np.nan)
    expected = observed.copy()
    if recent:
        own = slice(first - recent.first, end - recent.first)
        observed[:], expected[:] = recent.observed[own], recent.expected[own]
    targets = np.array([window_number(count.window_start) - first for count in asked.counts])
    # A count may have changed since it was taken to be judged: then the verdict will not be kept.
    observed[targets] = [count.observed for count in asked.counts]
    expected[targets] = np.nan
    days, levels, tails = _statistics_in_order(statistics)
    day_of_window = (first + np.arange(len(observed))) // _WINDOWS_PER_DAY
    newest = np.searchsorted(days, day_of_window, side="right") - 1
    return Surroundings(
        places=np.array(asked.places),
        windows=SeriesWindows(asked.series, first, observed, expected),
        targets=targets,
        # Where a window has no day before it, `newest` is -1, which is the last: nothing known.
        levels=levels[newest],
        tails=tails[newest[targets]],
    )


def _statistics_in_order(
    statistics: Sequence[tuple[Any, ...]],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return days since the epoch, and levels and tails with those of a series without history at the end."""
    unknown = nothing_known()
    days = np.array([(day - _EPOCH_DAY).days for day, _, _ in statistics], dtype=np.int64)
    levels = np.array([*(level for _, level, _ in statistics), unknown.level], dtype=float)
    tails = np.stack([*(tails_from_json(json.loads(text)) for _, _, text in statistics), unknown.tails])
    return days, levels, tails

"""Slow statistics of a series, one set a day: its level by the last week, its tails by the last two.

They are drawn from counts and from what judges expected, of the days before alone; so they can be drawn
anew at any time, a day or all days at once, with the same result.

The evaluation job ships with this very file, so it uses numpy alone, in the syntax of the oldest Python
among the job images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vigil.deviations import VIEWS, extremes_of, residuals_of, spans_on, tails_of
from vigil.grid import FIVE_MINUTES, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL_DAYS = 7
TAIL_DAYS = 14
DAYS_BACK = LEVEL_DAYS + TAIL_DAYS + 1
"""Days of counts that the statistics of one day follow from: the longest span reaches into one day more."""

_DIGITS = 4


@dataclass(frozen=True)
class SeriesStatistics:
    """What the windows of one day are judged by.

    Attributes:
        level: median count of the week before; NaN where less than a day of it is known.
        tails: of the two weeks before, shape (views, spans, 2); NaN where no day of them is known.
    """

    level: float
    tails: Floats

    def tails_to_json(self) -> list[Any]:
        """Return the tails as nested lists, with None for what is not known."""
        rounded: list[Any] = np.round(self.tails, _DIGITS).astype(object).tolist()
        return [[[None if side != side else side for side in span] for span in view] for view in rounded]


def tails_from_json(content: list[Any]) -> Floats:
    """Read tails from nested lists."""
    return np.array(content, dtype=float)


def nothing_known(grid: Grid = FIVE_MINUTES) -> SeriesStatistics:
    """Return the statistics of a series without history."""
    return SeriesStatistics(float("nan"), np.full((len(VIEWS), len(spans_on(grid)), 2), np.nan))


def statistics_by_day(
    first: int, observed: Floats, expected: Floats, days: range, grid: Grid = FIVE_MINUTES
) -> list[SeriesStatistics]:
    """Draw the statistics of some days from consecutive windows of one series.

    Args:
        first: number of the first window since the epoch.
        observed: events, shape (m,); NaN where unknown.
        expected: events, as judges expected, shape (m,); NaN where nobody judged.
        days: since the epoch, in order; those before the first may be needed for their levels.
        grid: of the windows.
    """
    per_day = grid.windows_per_day
    # The longest span reaches into one day more than the tails are drawn from.
    since = max(0, (days.start - TAIL_DAYS - 1) * per_day - first)
    levels = levels_of_windows(first, observed, grid, since)
    residuals = residuals_of(observed[since:], expected[since:], levels, grid)
    earliest, extremes = extremes_by_day(first + since, residuals, grid)
    statistics = []
    for day in days:
        end = max(0, day * per_day - first)
        place = max(0, day - earliest)
        statistics.append(
            SeriesStatistics(
                _level(observed[max(0, end - LEVEL_DAYS * per_day) : end], per_day),
                tails_of(extremes[max(0, place - TAIL_DAYS) : place]),
            )
        )
    return statistics


def extremes_by_day(first: int, residuals: Floats, grid: Grid = FIVE_MINUTES) -> tuple[int, Floats]:
    """Return the first day, and the extremes of each; shape (days, views, spans, 2).

    Args:
        first: number of the first window since the epoch.
        residuals: of consecutive windows, shape (m, views, spans).
        grid: of the windows.

    Returns:
        NaN of a view that knows less than half of a day.
    """
    per_day = grid.windows_per_day
    earliest, before = divmod(first, per_day)
    days = -(-(before + len(residuals)) // per_day)
    whole = np.full((days * per_day, *residuals.shape[1:]), np.nan)
    whole[before : before + len(residuals)] = residuals
    by_day = whole.reshape(days, per_day, *residuals.shape[1:])
    return earliest, extremes_of(by_day, max(1, per_day // 2))


def levels_of_windows(first: int, observed: Floats, grid: Grid = FIVE_MINUTES, since: int = 0) -> Floats:
    """Return the level that each window is held against: one a day, by the week before it.

    Args:
        first: number of the first window since the epoch.
        observed: events in consecutive windows, shape (m,); NaN where unknown.
        grid: of the windows.
        since: place of the first window that is to be held against its level.

    Returns:
        Shape (m - since,).
    """
    per_day = grid.windows_per_day
    levels = np.full(len(observed), np.nan)
    start = since - (first + since) % per_day
    while start < len(observed):
        end = max(0, start)
        known = observed[max(0, end - LEVEL_DAYS * per_day) : end]
        levels[end : start + per_day] = _level(known, per_day)
        start += per_day
    return levels[since:]


def _level(observed: Floats, fewest: int) -> float:
    known = observed[~np.isnan(observed)]
    return float(np.median(known)) if len(known) >= fewest else float("nan")

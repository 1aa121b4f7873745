"""What a model is told about a window: the one feature function, for training and for judging.

A window is described by the counts of other windows at fixed distances before it, never by its own count.
The caller looks those counts up, in bulk for training, by key for judging; from there on both take the same
path, so that the two cannot differ.

The last three hours are taken as they were: what happens now must be seen. Of the days before, a window that
was judged anomalous counts as far as it was usual, so that a past anomaly does not become what is expected.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vigil.grid import FIVE_MINUTES, Grid

_LAGS = 3
_HOUR, _THREE_HOURS = 60, 180
_AROUND_A_SLOT_SECONDS = 600
_DAYS_BACK = (1, 2, 3, 7, 14)
_HOLIDAY = 7
_DAY_SECONDS, _WEEK_SECONDS = 86_400, 7 * 86_400

FEATURE_NAMES: tuple[str, ...] = (
    "minute_of_day",
    "weekday",
    "day_sine",
    "day_cosine",
    "half_day_sine",
    "half_day_cosine",
    "week_sine",
    "week_cosine",
    "lag_1",
    "lag_2",
    "lag_3",
    "median_of_hour",
    "mean_of_hour",
    "median_of_three_hours",
    "yesterday",
    "two_days_ago",
    "three_days_ago",
    "last_week",
    "two_weeks_ago",
    "median_of_same_slots",
)

_CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Offsets:
    """How many windows back the feature function looks, in the order of the columns of `lookback`.

    Attributes:
        recent: the last three hours, the latest first.
        slots: windows around the same time on some days before, one day after the other.
    """

    recent: tuple[int, ...]
    slots: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """Return recent ones and slots."""
        return self.recent + self.slots


@cache
def offsets_on(grid: Grid = FIVE_MINUTES) -> Offsets:
    """Return the offsets on a grid."""
    near = _near_a_slot(grid)
    return Offsets(
        recent=tuple(range(1, max(_LAGS, grid.windows_in(_THREE_HOURS)) + 1)),
        slots=tuple(
            days * grid.windows_per_day + window for days in _DAYS_BACK for window in range(-near, near + 1)
        ),
    )


def most_at_once(grid: Grid = FIVE_MINUTES) -> int:
    """Return how many windows in a row may be judged at once: what they take as usual was judged before."""
    return grid.windows_per_day - _near_a_slot(grid)


def _near_a_slot(grid: Grid) -> int:
    return min(_AROUND_A_SLOT_SECONDS // grid.window_seconds, grid.windows_per_day - 1)


def lookback_of(
    observed: NDArray[np.float64],
    usual: NDArray[np.float64],
    targets: NDArray[np.int64],
    grid: Grid = FIVE_MINUTES,
) -> NDArray[np.float64]:
    """Gather the counts that describe some windows of one series.

    Args:
        observed: events in consecutive windows, shape (m,); NaN where unknown.
        usual: the same, but for windows that were judged anomalous, shape (m,).
        targets: positions of the windows to describe, shape (n,).
        grid: of the windows.

    Returns:
        Shape (n, offsets); NaN where the series has no such window.
    """
    offsets = offsets_on(grid)
    return np.column_stack(
        [_gathered(observed, targets, offsets.recent), _gathered(usual, targets, offsets.slots)]
    )


def _gathered(
    counts: NDArray[np.float64], targets: NDArray[np.int64], offsets: tuple[int, ...]
) -> NDArray[np.float64]:
    positions = targets[:, None] - np.asarray(offsets)[None, :]
    gathered: NDArray[np.float64] = counts[np.clip(positions, 0, None)]
    gathered[positions < 0] = np.nan
    return gathered


def features_of(
    window_starts: NDArray[np.int64],
    lookback: NDArray[np.float64],
    holidays: Collection[int] = (),
    grid: Grid = FIVE_MINUTES,
) -> NDArray[np.float64]:
    """Describe windows to a model.

    Always finite: a count that is missing is replaced by the median of those that are there, and by zero
    where a series has no history at all.

    Args:
        window_starts: seconds since the epoch, shape (n,).
        lookback: counts at the offsets before each, shape (n, offsets), NaN where unknown.
        holidays: days since the epoch; a weekday of their own.
        grid: of the windows.

    Returns:
        Shape (n, len(FEATURE_NAMES)).
    """
    described = np.empty((len(window_starts), len(FEATURE_NAMES)))
    for start in range(0, len(window_starts), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        described[rows] = np.column_stack(
            [_calendar_features(window_starts[rows], holidays), _history_features(lookback[rows], grid)]
        )
    return described


def _calendar_features(window_starts: NDArray[np.int64], holidays: Collection[int]) -> NDArray[np.float64]:
    days, second_of_day = np.divmod(window_starts, _DAY_SECONDS)
    # The epoch was a Thursday; weekday 0 is Monday.
    weekday = (days + 3) % 7
    day = 2 * np.pi * second_of_day / _DAY_SECONDS
    week = 2 * np.pi * (window_starts % _WEEK_SECONDS) / _WEEK_SECONDS
    return np.column_stack(
        [
            second_of_day // 60,
            np.where(np.isin(days, list(holidays)), _HOLIDAY, weekday),
            np.sin(day),
            np.cos(day),
            np.sin(2 * day),
            np.cos(2 * day),
            np.sin(week),
            np.cos(week),
        ]
    )


def _history_features(lookback: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    level = _median(lookback, np.zeros(len(lookback)))
    recents = len(offsets_on(grid).recent)
    recent = lookback[:, :recents]
    slots = lookback[:, recents:].reshape(len(lookback), len(_DAYS_BACK), -1)
    same_slots = np.column_stack([_median(slots[:, day], level) for day in range(len(_DAYS_BACK))])
    hour = recent[:, : grid.windows_in(_HOUR)]
    return np.column_stack(
        [
            *(_or_level(recent[:, lag], level) for lag in range(_LAGS)),
            _median(hour, level),
            _mean(hour, level),
            _median(recent, level),
            same_slots,
            np.median(same_slots, axis=1),
        ]
    )


def _or_level(values: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(values), level, values)


def _median(values: NDArray[np.float64], fallback: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's median over what is known, without numpy's slow path and warning for empty rows."""
    known = np.sum(~np.isnan(values), axis=1)
    ordered = np.sort(values, axis=1)  # NaN sorts last
    rows = np.arange(len(values))
    upper = ordered[rows, np.minimum(known // 2, values.shape[1] - 1)]
    lower = ordered[rows, np.maximum((known - 1) // 2, 0)]
    return np.where(known > 0, (lower + upper) / 2, fallback)


def _mean(values: NDArray[np.float64], fallback: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.sum(~np.isnan(values), axis=1)
    total = np.nansum(values, axis=1)
    return np.where(known > 0, total / np.maximum(known, 1), fallback)

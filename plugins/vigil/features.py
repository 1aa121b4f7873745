"""What a model is told about a window: the one feature function, for training and for judging.

A window is described by the counts of other windows at fixed distances before it, never by its own count.
The caller looks those counts up, in bulk for training, by key for judging; from there on both take the same
path, so that the two cannot differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vigil.windows import WINDOW_SECONDS, WINDOWS_PER_DAY, WINDOWS_PER_WEEK

_RECENT = tuple(range(1, 37))
_AROUND_A_SLOT = (-2, -1, 0, 1, 2)
_DAYS_BACK = (1, 2, 3, 7, 14)

OFFSETS: tuple[int, ...] = _RECENT + tuple(
    days * WINDOWS_PER_DAY + near for days in _DAYS_BACK for near in _AROUND_A_SLOT
)
"""How many windows back the feature function looks, in the order of the columns of `lookback`."""

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


def lookback_of(counts: NDArray[np.float64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Gather the counts that describe some windows of one series.

    Args:
        counts: events in consecutive windows, shape (m,); NaN where unknown.
        targets: positions in `counts` of the windows to describe, shape (n,).

    Returns:
        Shape (n, len(OFFSETS)); NaN where the series has no such window.
    """
    positions = targets[:, None] - np.asarray(OFFSETS)[None, :]
    gathered: NDArray[np.float64] = counts[np.clip(positions, 0, None)]
    gathered[positions < 0] = np.nan
    return gathered


def features_of(window_starts: NDArray[np.int64], lookback: NDArray[np.float64]) -> NDArray[np.float64]:
    """Describe windows to a model.

    Always finite: a count that is missing is replaced by the median of those that are there, and by zero
    where a series has no history at all.

    Args:
        window_starts: seconds since the epoch, shape (n,).
        lookback: counts at `OFFSETS` windows before each, shape (n, len(OFFSETS)), NaN where unknown.

    Returns:
        Shape (n, len(FEATURE_NAMES)).
    """
    described = np.empty((len(window_starts), len(FEATURE_NAMES)))
    for start in range(0, len(window_starts), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        described[rows] = np.column_stack(
            [_calendar_features(window_starts[rows]), _history_features(lookback[rows])]
        )
    return described


def _calendar_features(window_starts: NDArray[np.int64]) -> NDArray[np.float64]:
    number = window_starts // WINDOW_SECONDS
    slot_of_day = number % WINDOWS_PER_DAY
    # The epoch was a Thursday; weekday 0 is Monday.
    weekday = (number // WINDOWS_PER_DAY + 3) % 7
    day = 2 * np.pi * slot_of_day / WINDOWS_PER_DAY
    week = 2 * np.pi * (number % WINDOWS_PER_WEEK) / WINDOWS_PER_WEEK
    return np.column_stack(
        [
            slot_of_day * (WINDOW_SECONDS // 60),
            weekday,
            np.sin(day),
            np.cos(day),
            np.sin(2 * day),
            np.cos(2 * day),
            np.sin(week),
            np.cos(week),
        ]
    )


def _history_features(lookback: NDArray[np.float64]) -> NDArray[np.float64]:
    level = _median(lookback, np.zeros(len(lookback)))
    recent = lookback[:, : len(_RECENT)]
    slots = lookback[:, len(_RECENT) :].reshape(len(lookback), len(_DAYS_BACK), len(_AROUND_A_SLOT))
    same_slots = np.column_stack([_median(slots[:, day], level) for day in range(len(_DAYS_BACK))])
    hour = recent[:, :12]
    return np.column_stack(
        [
            _or_level(recent[:, 0], level),
            _or_level(recent[:, 1], level),
            _or_level(recent[:, 2], level),
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

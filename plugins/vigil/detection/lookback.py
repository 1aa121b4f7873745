"""Reads the counts that describe a window to the model: by key for a few windows, in bulk for many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.rows import as_json
from vigil.features import OFFSETS, lookback_of
from vigil.windows import WINDOW, window_number

LONGEST_LOOKBACK = max(OFFSETS) * WINDOW


def lookback_by_key(cursor: Cursor, windows: Sequence[tuple[str, datetime]]) -> NDArray[np.float64]:
    """Read the lookback of some windows, each count by its key.

    Args:
        cursor: of an open connection.
        windows: n pairs of series and window start.

    Returns:
        Shape (n, len(OFFSETS)); NaN where a series has no such window.
    """
    numbered = [(place, series, start) for place, (series, start) in enumerate(windows)]
    cursor.execute(
        statement("detection/select_lookback"),
        {"windows": as_json(numbered), "offsets": as_json((offset,) for offset in OFFSETS)},
    )
    lookback = np.full((len(windows), len(OFFSETS)), np.nan)
    for place, counts in cursor.fetchall():
        lookback[place] = [float(count) if count else np.nan for count in counts.split(",")]
    return lookback


def lookback_in_bulk(cursor: Cursor, series: str, starts: Sequence[datetime]) -> NDArray[np.float64]:
    """Read the lookback of many windows of one series in one range.

    Args:
        cursor: of an open connection.
        series: its name.
        starts: n window starts, ascending.

    Returns:
        Shape (n, len(OFFSETS)); NaN where the series has no such window.
    """
    first = window_number(starts[0] - LONGEST_LOOKBACK)
    counts = np.full(window_number(starts[-1]) - first + 1, np.nan)
    cursor.execute(
        statement("detection/select_counts"),
        {"series": series, "start": starts[0] - LONGEST_LOOKBACK, "end": starts[-1]},
    )
    for start, observed in cursor.fetchall():
        counts[window_number(start) - first] = observed
    return lookback_of(counts, np.array([window_number(start) - first for start in starts]))


def epoch_seconds(starts: Sequence[datetime]) -> NDArray[np.int64]:
    """Return window starts as seconds since the epoch, shape (n,)."""
    return np.array(starts, dtype="datetime64[s]").astype(np.int64)

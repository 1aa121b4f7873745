"""Reads the counts that describe a window to the model: by key for a few windows, in bulk for many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.rows import as_json
from vigil.features import lookback_of, offsets_on
from vigil.windows import WINDOW, window_number

LONGEST_LOOKBACK = max(offsets_on().all) * WINDOW


def lookback_by_key(cursor: Cursor, windows: Sequence[tuple[str, datetime]]) -> NDArray[np.float64]:
    """Read the lookback of some windows, each count by its key.

    Args:
        cursor: of an open connection.
        windows: n pairs of series and window start.

    Returns:
        Shape (n, offsets); NaN where a series has no such window.
    """
    offsets = offsets_on()
    return _counts_before(
        cursor, windows, [(back, 0) for back in offsets.recent] + [(back, 1) for back in offsets.slots]
    )


def usual_counts_before(
    cursor: Cursor, windows: Sequence[tuple[str, datetime]], offsets: Sequence[int]
) -> NDArray[np.float64]:
    """Read counts at some distances before windows, anomalous ones as far as they were usual.

    Args:
        cursor: of an open connection.
        windows: n pairs of series and window start.
        offsets: windows back.

    Returns:
        Shape (n, offsets); NaN where a series has no such window.
    """
    return _counts_before(cursor, windows, [(back, 1) for back in offsets])


def _counts_before(
    cursor: Cursor, windows: Sequence[tuple[str, datetime]], offsets: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    numbered = [(place, series, start) for place, (series, start) in enumerate(windows)]
    cursor.execute(
        statement("detection/select_lookback"), {"windows": as_json(numbered), "offsets": as_json(offsets)}
    )
    counts = np.full((len(windows), len(offsets)), np.nan)
    for place, texts in cursor.fetchall():
        counts[place] = [float(text) if text else np.nan for text in texts.split(",")]
    return counts


def lookback_in_bulk(cursor: Cursor, series: str, starts: Sequence[datetime]) -> NDArray[np.float64]:
    """Read the lookback of many windows of one series in one range.

    Args:
        cursor: of an open connection.
        series: its name.
        starts: n window starts, ascending.

    Returns:
        Shape (n, offsets); NaN where the series has no such window.
    """
    first = window_number(starts[0] - LONGEST_LOOKBACK)
    observed = np.full(window_number(starts[-1]) - first + 1, np.nan)
    usual = observed.copy()
    cursor.execute(
        statement("detection/select_counts"),
        {"series": series, "start": starts[0] - LONGEST_LOOKBACK, "end": starts[-1]},
    )
    for start, *counts in cursor.fetchall():
        place = window_number(start) - first
        observed[place], usual[place] = counts
    return lookback_of(observed, usual, np.array([window_number(start) - first for start in starts]))


def epoch_seconds(starts: Sequence[datetime]) -> NDArray[np.int64]:
    """Return window starts as seconds since the epoch, shape (n,)."""
    return np.array(starts, dtype="datetime64[s]").astype(np.int64)

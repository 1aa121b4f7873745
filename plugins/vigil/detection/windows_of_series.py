"""Reads windows of many series at once: their counts, and what judges expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
from pymysql.cursors import Cursor

from vigil.calibration import SeriesWindows
from vigil.database import statement
from vigil.windows import window_number


def read_windows(
    cursor: Cursor, names: Sequence[str], first: datetime, end: datetime
) -> Iterator[SeriesWindows]:
    """Yield the windows in [first, end) of those series that have any.

    Args:
        cursor: of an open connection.
        names: of the series; at least one.
        first: window.
        end: first window after them.
    """
    cursor.execute(
        statement("detection/select_judged_windows"), {"series": list(names), "first": first, "end": end}
    )
    for series, text in cursor.fetchall():
        positions, seen, due = np.fromstring(text, sep=",").reshape(-1, 3).T
        observed = np.full(window_number(end) - window_number(first), np.nan)
        expected = observed.copy()
        observed[positions.astype(np.int64)] = seen
        expected[positions.astype(np.int64)] = due
        yield SeriesWindows(series, window_number(first), observed, expected)

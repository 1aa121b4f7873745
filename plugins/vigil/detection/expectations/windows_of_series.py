"""Reads windows of many series at once: their counts, and what judges expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray
from pymysql.cursors import Cursor

from vigil.calibration import SeriesWindows
from vigil.database import statement
from vigil.windows import window_number

_COLUMNS = {"position": pa.int64(), "observed": pa.float64(), "expected": pa.float64()}
_READING = arrow_csv.ReadOptions(column_names=list(_COLUMNS))
_CONVERTING = arrow_csv.ConvertOptions(column_types=_COLUMNS)


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
    found = cursor.fetchall()
    if not found:
        return
    # All at once: to begin to read costs more than to read a series.
    positions, seen, due = _columns("\n".join(text for _, text in found))
    begun = 0
    for series, text in found:
        own = slice(begun, begun := begun + text.count("\n") + 1)
        observed = np.full(window_number(end) - window_number(first), np.nan)
        expected = observed.copy()
        observed[positions[own]] = seen[own]
        expected[positions[own]] = due[own]
        yield SeriesWindows(series, window_number(first), observed, expected)


def _columns(text: str) -> Iterator[NDArray[Any]]:
    table = arrow_csv.read_csv(BytesIO(text.encode()), read_options=_READING, convert_options=_CONVERTING)
    return (column.to_numpy() for column in table.columns)

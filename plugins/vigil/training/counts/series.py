"""Reads an export back, a series at a time, and refuses what nothing can be learned from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigil.errors import DataError
from vigil.training.counts.export import COLUMNS, Manifest, read_parts
from vigil.windows import WINDOW_SECONDS


@dataclass(frozen=True)
class SeriesCounts:
    """The exported windows of one series.

    Attributes:
        series: its name.
        first: number of its first window since the epoch.
        observed: events in consecutive windows, shape (m,); NaN where none was exported.
        usual: the same, but for windows that were judged anomalous, shape (m,).
    """

    series: str
    first: int
    observed: NDArray[np.float64]
    usual: NDArray[np.float64]

    def known(self, warm_up: int) -> NDArray[np.int64]:
        """Return the positions of windows that have a count, those of the warm-up left out."""
        positions = np.flatnonzero(~np.isnan(self.observed))
        return positions[positions >= warm_up].astype(np.int64)


def read_series(s3: Any, export: Manifest) -> Iterator[SeriesCounts]:
    """Yield the series of an export one by one.

    Raises:
        DataError: the export is damaged, out of order, or holds a count that is none.
    """
    seen: set[str] = set()
    for columns in _series_columns(s3, export):
        if columns.series in seen:
            raise DataError(
                f"{export.location}: the series {columns.series} comes in two pieces. Export again."
            )
        seen.add(columns.series)
        yield _counts_of(columns, export)


@dataclass(frozen=True)
class _Columns:
    """The rows of one series as text, in the order of the export."""

    series: str
    starts: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    usual: list[str] = field(default_factory=list)


def _series_columns(s3: Any, export: Manifest) -> Iterator[_Columns]:
    current: _Columns | None = None
    for name, content in read_parts(s3, export):
        for series, start, observed, usual in _rows(content, name):
            if current is None or series != current.series:
                if current is not None:
                    yield current
                current = _Columns(series)
            current.starts.append(start)
            current.observed.append(observed)
            current.usual.append(usual or observed)
    if current is not None:
        yield current


def _rows(content: bytes, name: str) -> Iterator[list[str]]:
    rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    header = next(rows, [])
    if tuple(header) != COLUMNS:
        raise DataError(f"{name} has the columns {','.join(header)}, not {','.join(COLUMNS)}: export again.")
    for row in rows:
        if len(row) != len(COLUMNS):
            raise DataError(f"{name}, line {rows.line_num}: {len(row)} columns, not {len(COLUMNS)}.")
        yield row


def _counts_of(columns: _Columns, export: Manifest) -> SeriesCounts:
    try:
        seconds = np.array(columns.starts, dtype="datetime64[s]").astype(np.int64)
        observed = np.array(columns.observed, dtype=np.float64)
        usual = np.array(columns.usual, dtype=np.float64)
    except ValueError as error:
        raise DataError(
            f"{export.location}, series {columns.series}: {error}. Correct the source."
        ) from error
    since, until = np.array([export.since, export.until], dtype="datetime64[s]").astype(np.int64)
    problems = (
        (_is_no_count(observed), columns.observed, "observed", "is no whole number of events"),
        (_is_no_count(usual), columns.usual, "usual", "is no whole number of events"),
        (observed < 0, columns.observed, "observed", "is negative"),
        (usual < 0, columns.usual, "usual", "is negative"),
        (seconds % WINDOW_SECONDS != 0, columns.observed, "observed", "does not start a window"),
        (np.diff(seconds, prepend=seconds[0] - 1) <= 0, columns.observed, "observed", "is out of order"),
        (
            (seconds < since) | (seconds >= until),
            columns.observed,
            "observed",
            "lies outside the period of the manifest",
        ),
    )
    for wrong, texts, column, what in problems:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"The export cannot be trained on: series {columns.series}, window {columns.starts[row]}, "
                f"{column} {texts[row]} {what}. Correct window_counts, then export again."
            )
    numbers = seconds // WINDOW_SECONDS
    places = numbers - numbers[0]
    return SeriesCounts(columns.series, int(numbers[0]), _dense(places, observed), _dense(places, usual))


def _is_no_count(counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = ~np.isfinite(counts) | (counts != np.floor(counts))
    return wrong


def _dense(places: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    dense = np.full(int(places[-1]) + 1, np.nan)
    dense[places] = counts
    return dense

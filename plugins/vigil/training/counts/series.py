"""Reads an export back, a series at a time, and refuses what nothing can be learned from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
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
        counts: events in consecutive windows, shape (m,); NaN where none was exported.
    """

    series: str
    first: int
    counts: NDArray[np.float64]

    def known(self, warm_up: int) -> NDArray[np.int64]:
        """Return the positions of windows that have a count, those of the warm-up left out."""
        positions = np.flatnonzero(~np.isnan(self.counts))
        return positions[positions >= warm_up].astype(np.int64)


def read_series(s3: Any, export: Manifest) -> Iterator[SeriesCounts]:
    """Yield the series of an export one by one.

    Raises:
        DataError: the export is damaged, out of order, or holds a count that is none.
    """
    seen: set[str] = set()
    for series, starts, observed in _series_columns(s3, export):
        if series in seen:
            raise DataError(f"{export.location}: the series {series} comes in two pieces. Export again.")
        seen.add(series)
        yield _counts_of(series, starts, observed, export)


def _series_columns(s3: Any, export: Manifest) -> Iterator[tuple[str, list[str], list[str]]]:
    current: str | None = None
    starts: list[str] = []
    observed: list[str] = []
    for name, content in read_parts(s3, export):
        for series, start, count in _rows(content, name):
            if series != current:
                if current is not None:
                    yield current, starts, observed
                current, starts, observed = series, [], []
            starts.append(start)
            observed.append(count)
    if current is not None:
        yield current, starts, observed


def _rows(content: bytes, name: str) -> Iterator[list[str]]:
    rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    header = next(rows, [])
    if tuple(header) != COLUMNS:
        raise DataError(f"{name} has the columns {','.join(header)}, not {','.join(COLUMNS)}: export again.")
    for row in rows:
        if len(row) != len(COLUMNS):
            raise DataError(f"{name}, line {rows.line_num}: {len(row)} columns, not {len(COLUMNS)}.")
        yield row


def _counts_of(series: str, starts: list[str], observed: list[str], export: Manifest) -> SeriesCounts:
    try:
        seconds = np.array(starts, dtype="datetime64[s]").astype(np.int64)
        counts = np.array(observed, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{export.location}, series {series}: {error}. Correct the source.") from error
    since, until = np.array([export.since, export.until], dtype="datetime64[s]").astype(np.int64)
    problems = (
        (~np.isfinite(counts) | (counts != np.floor(counts)), "is no whole number of events"),
        (counts < 0, "is negative"),
        (seconds % WINDOW_SECONDS != 0, "does not start a window"),
        (np.diff(seconds, prepend=seconds[0] - 1) <= 0, "is out of order"),
        ((seconds < since) | (seconds >= until), "lies outside the period of the manifest"),
    )
    for wrong, what in problems:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"The export cannot be trained on: series {series}, window {starts[row]}, observed "
                f"{observed[row]} {what}. Correct window_counts, then export again."
            )
    numbers = seconds // WINDOW_SECONDS
    dense = np.full(int(numbers[-1] - numbers[0]) + 1, np.nan)
    dense[numbers - numbers[0]] = counts
    return SeriesCounts(series, int(numbers[0]), dense)

"""Reads a folder of series: a CSV each, with the columns timestamp and value, and what people labelled.

What cannot be read is refused before anything runs.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigil.errors import DataError
from vigil.grid import FIVE_MINUTES, Grid
from vigil.windows import to_utc

LABELS = "windows.json"
_COLUMNS = ("timestamp", "value")
_DAY_SECONDS = 86_400
# A year of windows of one second takes less.
_MOST_WINDOWS = 50_000_000


@dataclass(frozen=True)
class Series:
    """The rows of one file, in the order of time, each in a window of its own.

    Attributes:
        name: of the file, without its ending.
        texts: stamp and value of each row as they stand in the file, in its order.
        order: places in the file of the rows in the order of time, shape (n,).
        seconds: stamps since the epoch, shape (n,).
        values: events, shape (n,).
        grid: of the file.
        windows: numbers of the rows' windows since the epoch, ascending, shape (n,).
    """

    name: str
    texts: Sequence[tuple[str, str]]
    order: NDArray[np.int64]
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    grid: Grid
    windows: NDArray[np.int64]


@dataclass(frozen=True)
class Label:
    """Rows that people called anomalous.

    Attributes:
        first: place of the first of them in the order of time.
        last: place of the last of them.
    """

    first: int
    last: int

    @property
    def width(self) -> int:
        """Return how many rows they are."""
        return self.last - self.first + 1

    def holds(self, row: int) -> bool:
        """Tell whether a row is one of them."""
        return self.first <= row <= self.last


Labels = Mapping[str, Sequence[Label]]
"""What was labelled in each series, in order; a series may have no label."""


def read_folder(folder: Path) -> list[Series]:
    """Read every CSV of a folder, in the order of their names.

    Raises:
        DataError: there is none, or one of them cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: name one that holds CSV files, as in DATA=folder.")
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise DataError(
            f"{folder} holds no CSV file: put one a series there, with the columns timestamp,value."
        )
    return [read_file(file) for file in files]


def read_file(file: Path) -> Series:
    """Read one series.

    Raises:
        DataError: a row is none, or the rows lie on no grid.
    """
    texts: list[tuple[str, str]] = []
    seconds: list[float] = []
    values: list[float] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            missing = set(_COLUMNS) - set(rows.fieldnames or ())
            if missing:
                raise DataError(
                    f"{file}: no column {min(missing)}. Name the columns in the first line: timestamp,value."
                )
            for row in rows:
                where = f"{file}, line {rows.line_num}"
                seconds.append(_seconds(row["timestamp"], where))
                values.append(_count(row["value"], where))
                texts.append((row["timestamp"], row["value"]))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is no CSV in UTF-8 ({error}): save it as such.") from error
    if not texts:
        raise DataError(f"{file} holds no row: fill it, or take it away.")
    order = np.argsort(seconds, kind="stable")
    in_order = np.array(seconds)[order]
    grid = _grid_of(in_order, file)
    return Series(
        name=file.stem,
        texts=texts,
        order=order,
        seconds=in_order,
        values=np.array(values)[order],
        grid=grid,
        windows=_windows_of(in_order, grid, file),
    )


def _seconds(text: str | None, where: str) -> float:
    try:
        stamp = datetime.fromisoformat(text or "")
    except ValueError as error:
        raise DataError(f"{where}: {text!r} is no time. Write it as 2026-01-31 23:55:00.") from error
    return (to_utc(stamp) if stamp.tzinfo else stamp).replace(tzinfo=UTC).timestamp()


def _count(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DataError(
            f"{where}: {text!r} is no count. Counts are 0 or more: correct it, or leave the line out if "
            "nobody knows it."
        )
    return value


def _grid_of(seconds: NDArray[np.float64], file: Path) -> Grid:
    """Return the grid whose windows last as long as the rows mostly lie apart."""
    if len(seconds) == 1:
        return FIVE_MINUTES
    apart = round(float(np.median(np.diff(seconds))))
    if not 1 <= apart <= _DAY_SECONDS:
        raise DataError(
            f"{file}: its rows lie {apart} s apart, by the median. They must lie a second to a day apart: "
            "sum up what is finer, and leave out what is coarser."
        )
    return Grid(apart)


def _windows_of(seconds: NDArray[np.float64], grid: Grid, file: Path) -> NDArray[np.int64]:
    """Give each row the window nearest to its distance from the first, or the next free one."""
    places = np.rint((seconds - seconds[0]) / grid.window_seconds).astype(np.int64)
    rows = np.arange(len(places))
    places = np.maximum.accumulate(places - rows) + rows
    if places[-1] >= _MOST_WINDOWS:
        raise DataError(
            f"{file}: from its first row to its last there are {places[-1] + 1} windows of "
            f"{grid.window_seconds} s. Is a stamp wrong? If not, split the file where nothing is."
        )
    windows: NDArray[np.int64] = int(seconds[0] // grid.window_seconds) + places
    return windows


def read_labels(folder: Path, series: Sequence[Series]) -> Labels | None:
    """Read what people labelled; None where there is no such file or it labels nothing.

    Raises:
        DataError: it names files that are not there, or times that are none.
    """
    file = folder / LABELS
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{file} is no JSON ({error}): correct it, or take it away to judge without."
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{file} must name the labelled times of each file, as in " + '{"a.csv": [[first, last]]}.'
        )
    unknown = sorted(content.keys() - {f"{one.name}.csv" for one in series})
    if unknown:
        raise DataError(f"{file} labels {', '.join(unknown)}, which the folder has not: correct the names.")
    labels = {one.name: _labels_of(one, content.get(f"{one.name}.csv", []), file) for one in series}
    return labels if any(labels.values()) else None


def _labels_of(series: Series, content: Any, file: Path) -> list[Label]:
    where = f"{file}, {series.name}.csv"
    if not isinstance(content, list) or not all(
        isinstance(ends, list) and len(ends) == 2 for ends in content
    ):
        raise DataError(f"{where}: write pairs of times, the first and the last row that are labelled.")
    labels = []
    for ends in content:
        begin, end = (_seconds(str(stamp), where) for stamp in ends)
        first = int(np.searchsorted(series.seconds, begin, side="left"))
        last = int(np.searchsorted(series.seconds, end, side="right")) - 1
        if first > last:
            raise DataError(
                f"{where}: no row lies from {ends[0]} to {ends[1]}. Correct the label, or drop it."
            )
        labels.append(Label(first, last))
    return sorted(labels, key=lambda label: label.first)

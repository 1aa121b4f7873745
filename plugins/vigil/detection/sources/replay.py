"""Replays counted series from CSV files, as the raw events they once were.

A row's stamp is floored to the epoch grid, and a row with value 57 becomes 57 events inside that window.
Every file is checked as a whole before its first event is given.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigil.detection.events import WINDOW_MICROSECONDS, Events, is_series_name
from vigil.detection.pipeline import ReplayOptions
from vigil.detection.sources import EVENTS_PER_BATCH, NEVER, Batch, Position, SeriesState
from vigil.errors import DataError, SettingsError
from vigil.paths import include_dir
from vigil.windows import WINDOW, WINDOWS_PER_WEEK, to_utc, window_at, window_number, window_of

_COLUMNS = ("timestamp", "value")
_WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Recording:
    """One checked file.

    Attributes:
        series: its name.
        windows: numbers of the windows that its rows lie in, ascending, shape (m,).
        counts: events in each, shape (m,).
    """

    series: str
    windows: NDArray[np.int64]
    counts: NDArray[np.int64]

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """How many events there are up to and with each window, shape (m,)."""
        return np.cumsum(self.counts)

    def events_before(self, window: int) -> int:
        """Return how many events lie before the window with this number."""
        rows = int(np.searchsorted(self.windows, window))
        return int(self.ends[rows - 1]) if rows else 0

    def slice(self, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return some of the events: row each lies in, its place in the window, how many lie there."""
        index = np.arange(start, end)
        row = np.searchsorted(self.ends, index, side="right")
        return row, index - (self.ends[row] - self.counts[row]), self.counts[row]


@dataclass(frozen=True)
class Replay:
    """Gives the rows of one file after the other; each series is retired at the end of its last row."""

    options: ReplayOptions

    @property
    def name(self) -> str:
        """Name in the pipeline settings."""
        return self.options.name

    @cached_property
    def files(self) -> list[Path]:
        """The files in the order of their names."""
        path = include_dir() / self.options.path
        files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            raise SettingsError(f"The source {self.name} finds no CSV at {path}: correct its path.")
        return files

    @cached_property
    def recordings(self) -> dict[str, Recording]:
        """Every file, checked, by series."""
        recordings = [read_recording(file) for file in self.files]
        return {recording.series: recording for recording in recordings}

    def take(self, position: Position | None, now: datetime) -> Batch:
        """Return the next events of the first series that has some left before `until`.

        Raises:
            DataError: a file cannot be replayed.
            SettingsError: there is no file.
        """
        if position is None:
            position = {"shift_weeks": self._shift_weeks(now), "taken": {}}
        shift = position["shift_weeks"] * WINDOWS_PER_WEEK
        waiting = [
            file.stem
            for file in self.files
            if position["taken"].get(file.stem, -1)
            < self.recordings[file.stem].events_before(self._end(shift))
        ]
        if not waiting:
            return Batch(Events.of(()), position)
        return self._next_of(self.recordings[waiting[0]], position, more=len(waiting) > 1)

    def _shift_weeks(self, now: datetime) -> int:
        last = max(int(recording.windows[-1]) for recording in self.recordings.values())
        if self.options.ends == "last_week":
            return (window_of(now) - window_at(last + 1)) // _WEEK
        return self.options.shift_weeks or 0

    def _end(self, shift: int) -> int:
        """Return the number, in the files, of the first window that is not replayed yet."""
        return window_number(window_of(self.options.until or NEVER)) - shift

    def _next_of(self, recording: Recording, position: Position, more: bool) -> Batch:
        shift = position["shift_weeks"] * WINDOWS_PER_WEEK
        start = max(0, position["taken"].get(recording.series, 0))
        total = recording.events_before(self._end(shift))
        end = min(total, start + EVENTS_PER_BATCH)
        row, place, count = recording.slice(start, end)
        # Spread over the window, the same way each time: the time belongs to an event's identity.
        occurred = (recording.windows[row] + shift) * WINDOW_MICROSECONDS + (
            (2 * place + 1) * WINDOW_MICROSECONDS // (2 * count)
        )
        ids = [
            f"{window:x}-{number}"
            for window, number in zip(recording.windows[row].tolist(), place.tolist(), strict=True)
        ]
        retired_at = window_at(int(recording.windows[-1]) + shift) + WINDOW
        if end == total:
            watermark = min(retired_at, window_of(self.options.until or NEVER))
        else:
            watermark = window_at(
                int(recording.windows[np.searchsorted(recording.ends, end, "right")]) + shift
            )
        state = SeriesState(
            first_window=window_at(int(recording.windows[0]) + shift),
            watermark=watermark,
            retired_at=retired_at,
            live_from=NEVER,
        )
        return Batch(
            events=Events.joined((recording.series,), [(0, occurred, ids)]),
            position={**position, "taken": {**position["taken"], recording.series: end}},
            series={recording.series: state},
            more=more or end < total,
        )


def read_recording(file: Path) -> Recording:
    """Read and check one CSV.

    Raises:
        DataError: a column is missing, or a row holds no time or no count; file, row and column are named.
    """
    if not is_series_name(file.stem):
        raise DataError(f"{file}: its name is to be a series, so use letters, digits, dots, - and _ only.")
    counts: dict[int, int] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        for column in _COLUMNS:
            if column not in (reader.fieldnames or ()):
                raise DataError(
                    f"{file}: the column {column} is missing; the header must read {','.join(_COLUMNS)}, "
                    f"it reads {','.join(reader.fieldnames or ()) or 'nothing'}."
                )
        for row in reader:
            number = _window_of(row["timestamp"], file, reader.line_num)
            counts[number] = counts.get(number, 0) + _count_of(row["value"], file, reader.line_num)
    if not counts:
        raise DataError(f"{file}: there is no row after the header: remove the file, or fill it.")
    windows = sorted(counts)
    return Recording(
        file.stem,
        np.array(windows, dtype=np.int64),
        np.array([counts[number] for number in windows], dtype=np.int64),
    )


def _window_of(text: str | None, file: Path, row: int) -> int:
    try:
        stamp = datetime.fromisoformat(text or "")
    except ValueError:
        raise DataError(
            f"{file}, row {row}, column timestamp: {text!r} is no time such as 2015-02-26 21:42:53."
        ) from None
    return window_number(window_of(stamp if stamp.tzinfo is None else to_utc(stamp)))


def _count_of(text: str | None, file: Path, row: int) -> int:
    try:
        count = float(text or "")
    except ValueError:
        count = float("nan")
    # NaN fails every comparison, infinity is no integer.
    if not (count >= 0 and count.is_integer()):
        raise DataError(
            f"{file}, row {row}, column value: {text!r} is no count: it must be 0 or a whole number above it."
        )
    return int(count)

"""The six real series: how far they are shifted, what is held back, and what people labelled in them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from vigil.paths import include_dir
from vigil.windows import window_of

HELD_BACK_DAYS = 14
PICTURED = "Twitter_volume_KO"
_WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Label:
    """A stretch of a series that a person called anomalous; both ends are window starts, inclusive."""

    series: str
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Sample:
    """Tells what the demo replays.

    Attributes:
        folder: with one CSV a series.
        shift: added to every stamp; full weeks, so that weekday and hour stay true.
        held_back_from: midnight from which the rows are judged, not trained on.
        ends: end of the last row's window.
        labels: shifted and floored to the grid as the rows are.
        events: sum of all rows of all series.
        series: names, sorted.
    """

    folder: Path
    shift: timedelta
    held_back_from: datetime
    ends: datetime
    labels: tuple[Label, ...]
    events: int
    series: tuple[str, ...]

    @property
    def shift_weeks(self) -> int:
        """Return the shift in weeks."""
        return self.shift // _WEEK

    def held_back_labels(self) -> list[Label]:
        """Return the labels that reach into the part that is held back."""
        return [label for label in self.labels if label.last >= self.held_back_from]

    def held_back_days(self) -> list[datetime]:
        """Return the midnights of the days that are judged one by one."""
        days = (self.ends - self.held_back_from).days + 1
        return [self.held_back_from + timedelta(days=day) for day in range(days)]


def load_sample(now: datetime) -> Sample:
    """Read the series and shift them so that they end in the week before this one."""
    folder = include_dir() / "sample-data"
    last_row = datetime.min
    events = 0
    names = []
    for file in sorted(folder.glob("*.csv")):
        names.append(file.stem)
        with file.open(newline="") as lines:
            for row in csv.DictReader(lines):
                last_row = max(last_row, datetime.fromisoformat(row["timestamp"]))
                events += int(row["value"])
    shift = _monday_of(now) - _WEEK - _monday_of(last_row)
    midnight = datetime.combine((last_row + shift).date(), datetime.min.time())
    return Sample(
        folder=folder,
        shift=shift,
        held_back_from=midnight - timedelta(days=HELD_BACK_DAYS),
        ends=window_of(last_row + shift) + timedelta(minutes=5),
        labels=tuple(_labels(folder / "windows.json", shift)),
        events=events,
        series=tuple(names),
    )


def _monday_of(instant: datetime) -> datetime:
    return datetime.combine(instant.date() - timedelta(days=instant.weekday()), datetime.min.time())


def _labels(file: Path, shift: timedelta) -> list[Label]:
    return [
        Label(Path(name).stem, *(window_of(datetime.fromisoformat(end) + shift) for end in ends))
        for name, labels in json.loads(file.read_text()).items()
        for ends in labels
    ]

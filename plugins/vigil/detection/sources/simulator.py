"""A simulated source: any window's events follow from the seed alone.

Each window is drawn by itself, so that history can be made in any order and a run that was killed makes the
same events again. No state decides whether time goes on, hence it cannot stall at any hour.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from vigil.detection.events import WINDOW_MICROSECONDS, Events, microseconds_of
from vigil.detection.pipeline import Anomaly, SimulatedSeries, SimulatorOptions
from vigil.detection.sources import EVENTS_PER_BATCH, Batch, Position, SeriesState
from vigil.windows import WINDOWS_PER_DAY, window_at, window_number, window_of

_SATURDAY = 5


@dataclass(frozen=True)
class Simulator:
    """Gives the events of every series up to now, as if they had just happened."""

    options: SimulatorOptions

    @property
    def name(self) -> str:
        """Name in the pipeline settings."""
        return self.options.name

    def take(self, position: Position | None, now: datetime) -> Batch:
        """Return the events after the position, in steps of whole windows while there is history to make."""
        start = datetime.fromisoformat(position["taken_until"]) if position else self._beginning(now)
        first = window_number(window_of(start))
        end = max(start, min(now, window_at(first + self._windows_per_batch())))
        state = SeriesState(
            first_window=window_at(first), watermark=end, live_from=self.options.live_from or window_of(now)
        )
        return Batch(
            events=self._events_between(start, end),
            position={"taken_until": end.isoformat()},
            series={series.name: state for series in self.options.series},
            more=end < now,
        )

    def _beginning(self, now: datetime) -> datetime:
        return window_of(self.options.starts_at or now - self.options.history)

    def _windows_per_batch(self) -> int:
        return max(1, int(EVENTS_PER_BATCH / sum(series.base_rate for series in self.options.series)))

    def _events_between(self, start: datetime, end: datetime) -> Events:
        names = tuple(series.name for series in self.options.series)
        return Events.joined(names, self._parts(microseconds_of(start), microseconds_of(end)))

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, NDArray[np.int64], list[str]]]:
        for position, series in enumerate(self.options.series):
            for number in range(start // WINDOW_MICROSECONDS, -(-end // WINDOW_MICROSECONDS)):
                occurred = self._window(series, number)
                ids = [f"{number:x}-{place:x}" for place in range(len(occurred))]
                wanted = (occurred >= start) & (occurred < end)
                yield position, occurred[wanted], [ids[place] for place in np.flatnonzero(wanted)]

    def _window(self, series: SimulatedSeries, number: int) -> NDArray[np.int64]:
        """Draw one window: ordinary events first, so that a spike adds to them and a drop thins them out."""
        generator = np.random.default_rng([self.options.seed, zlib.crc32(series.name.encode()), number])
        count = int(generator.poisson(usual_rate(series, number)))
        occurred = number * WINDOW_MICROSECONDS + generator.integers(0, WINDOW_MICROSECONDS, count)
        for anomaly in self.options.anomalies:
            if anomaly.series == series.name:
                occurred = _disturbed(occurred, anomaly, number, series, generator)
        return occurred


def usual_rate(series: SimulatedSeries, number: int) -> float:
    """Return how many events a window has on average: a wave over the day, calmer at the weekend.

    Args:
        series: its options.
        number: of the window since the epoch.
    """
    day, slot = divmod(number, WINDOWS_PER_DAY)
    hours_from_peak = slot * 24 / WINDOWS_PER_DAY - series.peak_hour
    wave = 1 + series.daily_swing * math.cos(2 * math.pi * hours_from_peak / 24)
    # The epoch was a Thursday; weekday 0 is Monday.
    weekend = (day + 3) % 7 >= _SATURDAY
    return series.base_rate * wave * (series.weekend if weekend else 1.0)


def _disturbed(
    occurred: NDArray[np.int64],
    anomaly: Anomaly,
    number: int,
    series: SimulatedSeries,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    start, end = microseconds_of(anomaly.starts), microseconds_of(anomaly.ends)
    if anomaly.kind == "spike":
        count = int(generator.poisson(usual_rate(series, number) * (anomaly.factor - 1)))
        extra = number * WINDOW_MICROSECONDS + generator.integers(0, WINDOW_MICROSECONDS, count)
        return np.concatenate([occurred, extra[(extra >= start) & (extra < end)]])
    share_kept = anomaly.factor if anomaly.kind == "drop" else 0.0
    lost = generator.random(len(occurred)) >= share_kept
    return occurred[~(lost & (occurred >= start) & (occurred < end))]

"""Stand-ins: a source made of batches, a model that expects the last count again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from vigil.calibration import Calibration
from vigil.count_bands import CountBand
from vigil.detection.events import Events, Row
from vigil.detection.expectations.predicting import Predictions, Predictor
from vigil.detection.sources import Batch, Position, SeriesState
from vigil.deviations import VIEWS, spans_on
from vigil.rarity import Rarity

NOW = datetime(2026, 3, 4, 12, 2, 30)
"""A Wednesday; the window of it is 12:00."""

WINDOW = timedelta(minutes=5)
VERSION = "event-counts/1"
VARIANT = "event-counts-1"
ENDPOINT = "event-counts"
SMALLEST_TAIL = 1.5


def calibration_of(reach: float = 3.0) -> Calibration:
    """Return a calibration by which a window without statistics is judged by itself alone.

    It is anomalous where it lies `reach` or more off on the Anscombe scale, which are the bounds of its band:
    at 3, of 20 expected events 9 to 35 are normal, and of 5 expected ones 1 to 14. With every further `reach`
    it is 2.7 times as rare, beginning with one window in 100. Statistics, where there are some, bring
    tails of all spans; the band stays as it is.
    """
    # What is divided by so much is nothing: longer spans, and the view of the level.
    tails = np.full((len(VIEWS), len(spans_on()), 2), 1e9)
    tails[0, 0] = SMALLEST_TAIL
    # The mean over all spans.
    deviation = reach / SMALLEST_TAIL / len(spans_on())
    return Calibration(
        band=CountBand(0.99, -reach, reach, {}, (1.0, 1.0)),
        tails={},
        default_tails=tails,
        # One window in a hundred lies so far off, and makes one incident a month, which a pipeline allows.
        rarity=Rarity(tuple(deviation * np.arange(1, 8) / 7), scale=deviation, clusters_per_month=1.0),
    )


BAND = calibration_of()


def at(text: str) -> datetime:
    """Return a time of the day of `NOW`, as in at("11:05")."""
    hours, minutes, *seconds = text.split(":")
    return datetime(2026, 3, 4, int(hours), int(minutes)) + timedelta(
        seconds=float(seconds[0] if seconds else 0)
    )


def batch_of(
    rows: Sequence[Row] = (),
    watermark: datetime | None = None,
    series: dict[str, SeriesState] | None = None,
    position: Position | None = None,
    more: bool = False,
    acknowledge: Callable[[Collection[str]], None] = lambda foreign: None,
) -> Batch:
    return Batch(
        Events.of(rows),
        position if position is not None else {},
        series=series or {},
        watermark=watermark,
        more=more,
        acknowledge=acknowledge,
    )


@dataclass
class ListSource:
    """Gives one batch after the other; the position tells which is next."""

    batches: Sequence[Batch]
    name: str = "shop"
    asked: list[Position | None] = field(default_factory=list)

    def take(self, position: Position | None, now: datetime) -> Batch:
        self.asked.append(position)
        place = position["next"] if position else 0
        if place >= len(self.batches):
            return Batch(Events.of(()), {"next": place})
        given = self.batches[place]
        return Batch(
            given.events,
            {"next": place + 1},
            given.series,
            given.watermark,
            more=place + 1 < len(self.batches),
            acknowledge=given.acknowledge,
        )


@dataclass
class Expecting:
    """Expects the same count of every window."""

    expected: float
    variant: str = VARIANT
    asked: list[NDArray[np.float64]] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None

    def predict(self, features: NDArray[np.float64]) -> Predictions:
        self.asked.append(features)
        self.before_answer()
        return Predictions(np.full(len(features), self.expected), [self.variant] * len(features), 1)


def always(predictor: Predictor) -> Callable[[str], Predictor]:
    """Return what gives this predictor for every endpoint."""
    return lambda endpoint: predictor

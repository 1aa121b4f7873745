"""Stand-ins: a source made of batches, a model that expects the last count again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from vigil.bands import Band
from vigil.detection.events import Events, Row
from vigil.detection.predicting import Predictions, Predictor
from vigil.detection.sources import Batch, Position, SeriesState

NOW = datetime(2026, 3, 4, 12, 2, 30)
"""A Wednesday; the window of it is 12:00."""

WINDOW = timedelta(minutes=5)
VERSION = "event-counts/1"
VARIANT = "event-counts-1"
ENDPOINT = "event-counts"
BAND = Band(coverage=0.99, lower_quantile=-3.0, upper_quantile=3.0, scales={}, default_scale=(1.0, 1.0))


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
    acknowledge: Callable[[], None] = lambda: None,
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

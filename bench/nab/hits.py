"""Hits, misses and false incidents: what NAB's scores say, in numbers that need no profile.

A labelled stretch is a hit when something was told in it. An incident is false when it opened outside every
labelled stretch. F1 is the harmonic mean of precision, hits / (hits + false incidents), and recall, the hits'
share of all labelled stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.nab.folder import Label
from bench.nab.telling import Told


@dataclass(frozen=True)
class Hits:
    """Hits of one or more series.

    Attributes:
        labels: how many stretches people labelled.
        hits: how many of them something was told in.
        incidents: how many opened.
        false_incidents: how many of them opened outside every labelled stretch.
    """

    labels: int
    hits: int
    incidents: int
    false_incidents: int

    @property
    def f1(self) -> float:
        """Return F1, 0 where nothing was hit."""
        return 2 * self.hits / (self.labels + self.hits + self.false_incidents) if self.hits else 0.0


def hits_of(told: Told, labels: Sequence[Label]) -> Hits:
    """Hold what was told of a series against what people labelled in it."""
    return Hits(
        labels=len(labels),
        hits=sum(any(label.holds(row) for row in told.alerts.tolist()) for label in labels),
        incidents=len(told.openings),
        false_incidents=sum(not any(label.holds(row) for label in labels) for row in told.openings.tolist()),
    )


def all_hits(some: Sequence[Hits]) -> Hits:
    """Return the hits of all series together."""
    return Hits(*(sum(numbers) for numbers in zip(*(vars(one).values() for one in some), strict=True)))

"""Who is compared on one folder: Vigil, its rule of standard deviations, and its linear learner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from bench.nab.folder import Labels, Series
from bench.nab.hits import Hits, all_hits, hits_of
from bench.nab.replay import Progress, replay
from bench.nab.scoring import Detected, Scores, score
from bench.nab.telling import Judged, Told, judged_of
from vigil.detection.pipeline import RarityOptions
from vigil.training.spec.model import ModelSpec

DEFAULT_RATE = float(RarityOptions().false_incidents_per_month)
_RATES = (*np.geomspace(0.02, 50, 61).tolist(), DEFAULT_RATE)

Rule = Callable[[Judged], Told]


@dataclass(frozen=True)
class Watched:
    """A folder that was replayed with one model.

    Attributes:
        series: judged, in the order of their names.
        windows: that were judged.
        judging_s: seconds that judging them took.
        trainings: how many.
    """

    series: Sequence[Judged]
    windows: int
    judging_s: float
    trainings: int

    @property
    def months(self) -> float:
        """Return how many months of single series were judged."""
        return sum(one.windows / one.history.grid.windows_per_month for one in self.series)


@dataclass(frozen=True)
class Outcome:
    """What somebody found in a folder.

    Attributes:
        label: what a reader calls it.
        threshold: that it was found at.
        told: of each series.
        hits: of all series; None where nothing is labelled.
        scores: of NAB; None where nothing is labelled.
    """

    label: str
    threshold: float
    told: Sequence[Told]
    hits: Hits | None
    scores: Scores | None

    @property
    def incidents(self) -> int:
        """Return how many incidents opened."""
        return sum(len(told.openings) for told in self.told)


def watch(series: Sequence[Series], spec: ModelSpec, progress: Progress) -> Watched:
    """Replay a folder; series of one grid share a model."""
    judged: list[Judged] = []
    windows, judging_s, trainings = 0, 0.0, 0

    def window_seconds(one: Series) -> int:
        return one.grid.window_seconds

    for _, group in groupby(sorted(series, key=window_seconds), key=window_seconds):
        replayed = replay(list(group), spec, DEFAULT_RATE, progress)
        judged.extend(judged_of(replayed))
        windows += replayed.judged
        judging_s += replayed.judging_s
        trainings += len(replayed.reigns)
    judged.sort(key=lambda one: one.history.series.name)
    return Watched(judged, windows, judging_s, trainings)


def outcome(label: str, threshold: float, watched: Watched, rule: Rule, labels: Labels | None) -> Outcome:
    """Return what a rule finds.

    Args:
        label: what a reader calls it.
        threshold: of the rule.
        watched: the replayed folder.
        rule: says what is told of a series.
        labels: of people, if there are any.
    """
    told = [rule(one) for one in watched.series]
    if labels is None:
        return Outcome(label, threshold, told, None, None)
    pairs = [(one.history.series, own) for one, own in zip(watched.series, told, strict=True)]
    return Outcome(
        label,
        threshold,
        told,
        all_hits([hits_of(own, labels[series.name]) for series, own in pairs]),
        score([Detected(len(series.values), own.alerts, labels[series.name]) for series, own in pairs]),
    )


def by_rarity(label: str, rate: float, watched: Watched, labels: Labels | None) -> Outcome:
    """Return what is found when a series is to have so many false incidents a month."""
    return outcome(label, rate, watched, lambda one: one.told_by_rarity(rate), labels)


def best(label: str, watched: Watched, labels: Labels) -> Outcome:
    """Return what is found at the rate with the best standard score; nothing is judged or trained anew."""
    found = (by_rarity(label, rate, watched, labels) for rate in _RATES)
    return max(found, key=lambda one: one.scores.standard if one.scores else 0.0)

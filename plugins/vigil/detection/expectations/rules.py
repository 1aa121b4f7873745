"""By which rule a window is high or low: by rarity, or by standard deviations as the first system had it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pymysql.cursors import Cursor

from vigil.calibration import Calibration, Judgement, judge_windows
from vigil.detection.expectations.lookback import usual_counts_before
from vigil.detection.expectations.surroundings import Surroundings, read_surroundings
from vigil.detection.verdicts import HIGH, LOW, NORMAL, Count, Verdict
from vigil.errors import DataError
from vigil.released_models import ReleasedModel
from vigil.windows import WINDOWS_PER_WEEK

# With fewer weeks to go by, a standard deviation is mere chance.
_FEWEST_WEEKS = 3


class Rule(Protocol):
    """Judges windows by what the models that were asked expect of them."""

    def threshold(self, model: ReleasedModel) -> float:
        """Return the rarity from which on windows are anomalous."""
        ...

    def judge(
        self,
        cursor: Cursor,
        counts: Sequence[Count],
        expected: NDArray[np.float64],
        models: Sequence[ReleasedModel],
    ) -> list[Verdict]:
        """Return a verdict on each window.

        Args:
            cursor: of an open connection.
            counts: n windows.
            expected: events, shape (n,).
            models: that answered, n of them.
        """
        ...


@dataclass(frozen=True)
class RarityRule:
    """A window is high or low when it is so rare that a series has so many false incidents a month.

    Attributes:
        false_incidents_per_month: of one series.
    """

    false_incidents_per_month: float

    def threshold(self, model: ReleasedModel) -> float:
        """Return the rarity at which a series has so many false incidents a month.

        Raises:
            DataError: the model has no calibration.
        """
        return calibration_of(model).rarity.windows_at(self.false_incidents_per_month)

    def judge(
        self,
        cursor: Cursor,
        counts: Sequence[Count],
        expected: NDArray[np.float64],
        models: Sequence[ReleasedModel],
    ) -> list[Verdict]:
        """Return a verdict on each window.

        Raises:
            DataError: a model has no calibration.
        """
        verdicts: list[Verdict | None] = [None] * len(counts)
        for series in read_surroundings(cursor, counts):
            series.windows.expected[series.targets] = expected[series.places]
            places = series.places.tolist()
            answered = np.array([models[place].model_version for place in places])
            for version in np.unique(answered):
                own = np.flatnonzero(answered == version)
                model = models[places[own[0]]]
                for place, verdict in zip(
                    series.places[own].tolist(), self._judge_some(series, own, model, counts), strict=True
                ):
                    verdicts[place] = verdict
        return [verdict for verdict in verdicts if verdict]

    def _judge_some(
        self, series: Surroundings, own: NDArray[np.int64], model: ReleasedModel, counts: Sequence[Count]
    ) -> list[Verdict]:
        """Judge those windows of a series that one version answered."""
        calibration = calibration_of(model)
        targets = series.targets[own]
        judgement = judge_windows(calibration, series.windows, series.levels, series.tails[own], targets)
        sides = sides_of(judgement, calibration, self.false_incidents_per_month)
        return [
            _verdict(counts[place], model, *numbers)
            for place, *numbers in zip(
                series.places[own].tolist(),
                series.windows.expected[targets].tolist(),
                judgement.lower.tolist(),
                judgement.upper.tolist(),
                judgement.windows.tolist(),
                judgement.extrapolated.tolist(),
                sides.tolist(),
                strict=True,
            )
        ]


def calibration_of(model: ReleasedModel) -> Calibration:
    """Return what a model's windows are judged by.

    Raises:
        DataError: it has none.
    """
    if not isinstance(model.band, Calibration):
        raise DataError(
            f"{model.model_version} has no calibration, so it cannot judge windows: name a model of event "
            "counts in the pipeline file. If it is one, it was trained by an older version: trigger "
            "retrain_weekly."
        )
    return model.band


def sides_of(
    judgement: Judgement, calibration: Calibration, false_incidents_per_month: float
) -> NDArray[np.str_]:
    """Return high, low or normal for each judged window, shape (n,)."""
    threshold = calibration.rarity.windows_at(false_incidents_per_month)
    anomalous = judgement.leans & (np.abs(judgement.windows) >= threshold)
    sides: NDArray[np.str_] = np.where(
        anomalous, np.where(judgement.windows > 0, HIGH, LOW), np.array(NORMAL)
    )
    return sides


@dataclass(frozen=True)
class StandardDeviationsRule:
    """A window is high or low beyond so many standard deviations of the same weekday and time.

    The rarity of a verdict supposes a normal distribution. The first system looked above alone, and took the
    window itself for one of its past.

    Attributes:
        k: standard deviations.
        weeks: of the past.
    """

    k: float
    weeks: int

    def threshold(self, model: ReleasedModel) -> float:
        """Return the rarity of so many standard deviations."""
        return float(normal_rarity(np.array([self.k]))[0])

    def judge(
        self,
        cursor: Cursor,
        counts: Sequence[Count],
        expected: NDArray[np.float64],
        models: Sequence[ReleasedModel],
    ) -> list[Verdict]:
        """Return a verdict on each window; it is normal where too few weeks are known."""
        weeks_back = [week * WINDOWS_PER_WEEK for week in range(1, self.weeks + 1)]
        before = usual_counts_before(
            cursor, [(count.series, count.window_start) for count in counts], weeks_back
        )
        observed = np.array([count.observed for count in counts], dtype=float)
        distances, spreads = distances_of(observed, expected, before)
        anomalous = np.abs(distances) > self.k
        sides = np.where(anomalous, np.where(distances > 0, HIGH, LOW), NORMAL)
        rows = zip(
            expected.tolist(),
            np.maximum(expected - self.k * spreads, 0).tolist(),
            (expected + self.k * spreads).tolist(),
            normal_rarity(distances).tolist(),
            [True] * len(counts),
            sides.tolist(),
            strict=True,
        )
        return [
            _verdict(count, model, *numbers)
            for count, model, numbers in zip(counts, models, rows, strict=True)
        ]


def distances_of(
    observed: NDArray[np.float64], expected: NDArray[np.float64], before: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many standard deviations windows lie off, and the standard deviations; shapes (n,).

    Args:
        observed: events, shape (n,).
        expected: events, shape (n,).
        before: the same weekday and time of the past, shape (n, weeks); NaN where unknown.
    """
    known = ~np.isnan(before)
    weeks = known.sum(axis=1)
    mean = np.where(known, before, 0).sum(axis=1) / np.maximum(weeks, 1)
    squares = np.where(known, (before - mean[:, None]) ** 2, 0).sum(axis=1)
    # A count that never varied would else be off by any event.
    spreads = np.maximum(np.sqrt(squares / np.maximum(weeks, 1)), 1.0)
    distances = np.where(weeks >= _FEWEST_WEEKS, (observed - expected) / spreads, 0.0)
    return distances, spreads


def normal_rarity(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how rare standard deviations are: N for as rare as one window in N, negative below."""
    rare = [1 / max(math.erfc(abs(distance) / math.sqrt(2)), 1e-300) for distance in distances.tolist()]
    return np.copysign(rare, distances)


def _verdict(
    count: Count,
    model: ReleasedModel,
    expected: float,
    lower: float,
    upper: float,
    score: float,
    extrapolated: bool,
    side: str,
) -> Verdict:
    return Verdict(
        count.series,
        count.window_start,
        count.revision,
        model.model_version,
        count.observed,
        expected,
        lower,
        upper,
        score,
        extrapolated,
        side,
    )

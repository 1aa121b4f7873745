"""Verdicts: what was observed against the band of the very model version that answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.predicting import Predictions
from vigil.errors import CloudError, DataError
from vigil.released_models import ReleasedModel

NORMAL, HIGH, LOW = "normal", "high", "low"


@dataclass(frozen=True)
class Count:
    """One counted window.

    Attributes:
        series: its name.
        window_start: when it begins.
        observed: events in it.
        revision: of the count.
    """

    series: str
    window_start: datetime
    observed: int
    revision: int


@dataclass(frozen=True)
class Verdict:
    """One judged window.

    Attributes:
        series: its name.
        window_start: when it begins.
        revision: of the count that was judged.
        model_version: that answered.
        observed: events in it.
        expected: events, as the model says.
        lower: bound of the band.
        upper: bound of the band.
        score: as rare as one window in so many; negative below what was expected.
        extrapolated: rarer than what the calibration could show.
        verdict: normal, high or low.
    """

    series: str
    window_start: datetime
    revision: int
    model_version: str
    observed: int
    expected: float
    lower: float
    upper: float
    score: float
    extrapolated: bool
    verdict: str

    @property
    def is_anomalous(self) -> bool:
        """Tell whether the window lies outside the band."""
        return self.verdict != NORMAL


def verdicts_of(
    counts: Sequence[Count], predictions: Predictions, released: Sequence[ReleasedModel], endpoint: str
) -> list[Verdict]:
    """Hold counts against the bands of the versions that answered.

    Raises:
        CloudError: a variant answered that no released model has.
    """
    by_variant = {model.variant: model for model in released if model.endpoint == endpoint}
    verdicts: list[Verdict | None] = [None] * len(counts)
    for variant in sorted(set(predictions.variants)):
        if variant not in by_variant:
            raise CloudError(
                f"The endpoint {endpoint} answered with the variant {variant!r}, which no released model "
                "has: was it deployed by hand? Release it with retrain_weekly, or roll back."
            )
        places = [place for place, answered in enumerate(predictions.variants) if answered == variant]
        for place, verdict in zip(
            places,
            _verdicts_of_one(
                [counts[place] for place in places], predictions.expected[places], by_variant[variant]
            ),
            strict=True,
        ):
            verdicts[place] = verdict
    return [verdict for verdict in verdicts if verdict]


def _verdicts_of_one(
    counts: Sequence[Count], expected: np.ndarray[tuple[int], np.dtype[np.float64]], model: ReleasedModel
) -> list[Verdict]:
    series = [count.series for count in counts]
    observed = np.array([count.observed for count in counts], dtype=float)
    if model.band is None:
        raise DataError(
            f"{model.model_version} has no band, so it cannot judge windows: name a model of event counts "
            "in the pipeline file."
        )
    lower, upper = model.band.bounds(series, expected)
    scores = model.band.scores(series, expected, observed)
    sides = np.where(observed > upper, HIGH, np.where(observed < lower, LOW, NORMAL))
    return [
        Verdict(
            count.series, count.window_start, count.revision, model.model_version, count.observed, *numbers
        )
        for count, *numbers in zip(
            counts,
            expected.tolist(),
            lower.tolist(),
            upper.tolist(),
            scores.tolist(),
            [False] * len(counts),
            sides.tolist(),
            strict=True,
        )
    ]


def verdict_of(row: Sequence[Any]) -> Verdict:
    """Return the verdict of a row that has its fields in order."""
    values = (*row[:-2], bool(row[-2]), row[-1])
    return Verdict(*values)


def save_verdicts(cursor: Cursor, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Store verdicts; the same count judged again by the same version replaces its verdict."""
    cursor.executemany(
        statement("detection/insert_predictions"),
        [(*vars(verdict).values(), now) for verdict in verdicts],
    )

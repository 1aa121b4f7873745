"""The parts of a model spec that say how good a candidate must be, and who approves it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from vigil.training.spec.part import Objective, Part

RegressionMetric = Literal["rmse", "mae", "wape", "bias", "coverage"]
ClassMetric = Literal["accuracy", "precision", "recall", "f1", "specificity", "auc"]
Metric = RegressionMetric | ClassMetric

METRICS: dict[Objective, tuple[str, ...]] = {
    "regression": ("rmse", "mae", "wape", "bias", "coverage"),
    "binary": ("accuracy", "precision", "recall", "f1", "specificity", "auc"),
    "multiclass": ("accuracy", "precision", "recall", "f1", "specificity", "auc"),
}


class Band(Part):
    """The band of a regression; `coverage` is the share of rows that should fall inside."""

    coverage: float = Field(default=0.999, gt=0, lt=1)


class NotWorse(Part):
    """The candidate's `metric` may be worse than the champion's by `by` at most, in the metric's unit."""

    metric: Metric
    by: float = Field(ge=0)


class Better(Part):
    """The candidate's `metric` must be better than the champion's with a bootstrap confidence.

    Attributes:
        metric: to compare on the same rows.
        confidence: share of resamples of the test rows in which the candidate must be the better one.
    """

    metric: Metric
    confidence: float = Field(gt=0, lt=1)


class Gates(Part):
    """What a candidate must reach on the test part; what is not given is not asked for.

    Of several classes, precision, recall, F1, specificity and AUC are means over the classes.

    Attributes:
        max_rmse: in the unit of what is predicted.
        max_mae: in the unit of what is predicted.
        max_wape: sum of absolute errors over the sum of what was observed.
        max_abs_bias: mean of expected less observed, either way.
        min_coverage: share of rows inside the band.
        max_coverage: above it the band is too wide to notice anything.
        min_accuracy: share of rows told right.
        min_precision: of those told positive, the share that are.
        min_recall: of those that are positive, the share told so.
        min_f1: harmonic mean of precision and recall.
        min_specificity: of those that are negative, the share told so.
        min_auc: area under the curve of recall over false positives.
        not_worse_than_champion: on the same rows.
        better_than_champion: on the same rows.
    """

    max_rmse: float | None = Field(default=None, gt=0)
    max_mae: float | None = Field(default=None, gt=0)
    max_wape: float | None = Field(default=None, gt=0)
    max_abs_bias: float | None = Field(default=None, gt=0)
    min_coverage: float | None = Field(default=None, ge=0, le=1)
    max_coverage: float | None = Field(default=None, ge=0, le=1)
    min_accuracy: float | None = Field(default=None, ge=0, le=1)
    min_precision: float | None = Field(default=None, ge=0, le=1)
    min_recall: float | None = Field(default=None, ge=0, le=1)
    min_f1: float | None = Field(default=None, ge=0, le=1)
    min_specificity: float | None = Field(default=None, ge=0, le=1)
    min_auc: float | None = Field(default=None, ge=0, le=1)
    not_worse_than_champion: NotWorse | None = None
    better_than_champion: Better | None = None

    @model_validator(mode="after")
    def _coverage_leaves_room(self) -> Self:
        if None not in (self.min_coverage, self.max_coverage) and self.min_coverage > self.max_coverage:  # type: ignore[operator]
            raise ValueError(
                f"min_coverage ({self.min_coverage}) is above max_coverage ({self.max_coverage}): swap them"
            )
        return self

    def metrics(self) -> Iterator[tuple[str, str]]:
        """Yield each gate that is asked for and the metric it needs."""
        for name, gate in self:
            if isinstance(gate, NotWorse | Better):
                yield name, gate.metric
            elif gate is not None:
                yield name, name.partition("_")[2].removeprefix("abs_")


class Approval(Part):
    """Who approves a candidate that has passed the gates.

    Attributes:
        by: `gates` alone, or a `person` too, in Airflow's UI.
        wait_h: hours until the person's silence counts.
        otherwise: what silence means.
    """

    by: Literal["gates", "person"] = "gates"
    wait_h: float = Field(default=24, gt=0, le=24 * 14)
    otherwise: Literal["reject", "approve"] = "reject"

    @property
    def wait(self) -> timedelta:
        """Return how long the person has."""
        return timedelta(hours=self.wait_h)

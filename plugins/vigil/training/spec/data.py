"""The part of a model spec that says what the model learns from, and how rows are shared out."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Literal, Self

from pydantic import Field, model_validator

from vigil.training.spec.part import Objective, Part


class EventCounts(Part):
    """One row a closed window of a series, described by `vigil.features`.

    Attributes:
        kind: `event_counts`.
        history_days: how far back the export reaches.
        warm_up_days: at the start of each series, left out for want of windows to look back to.
    """

    kind: Literal["event_counts"] = "event_counts"
    history_days: int = Field(default=365, ge=1)
    warm_up_days: int = Field(default=7, ge=0)

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.warm_up_days >= self.history_days:
            raise ValueError(
                f"warm_up_days ({self.warm_up_days}) leaves nothing of history_days ({self.history_days}): "
                "lower the one or raise the other"
            )
        return self

    @property
    def objective(self) -> Objective:
        """Return what is predicted: a number."""
        return "regression"

    @property
    def history(self) -> timedelta:
        """Return how far back the export reaches."""
        return timedelta(days=self.history_days)


class Tabular(Part):
    """The rows of CSV files that people drop under `incoming/<model>/`; each has a header.

    Attributes:
        kind: `tabular`.
        target: column to predict.
        objective: `regression`, or the choice between two or more classes.
        positive: the class of a binary objective that is looked for; without it, the last one by name.
        leave_out: columns that the model does not see.
        categorical: columns of numbers that are names all the same, as a postcode is.
        time_column: orders the rows of a chronological split; the model does not see it.
        most_categories: of a column; one with more is refused, as a name or an id would be.
        new_data: train on new files `together` with the older ones, or `alone`.
    """

    kind: Literal["tabular"]
    target: str = Field(min_length=1)
    objective: Objective
    positive: str | None = None
    leave_out: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    time_column: str | None = None
    most_categories: int = Field(default=100, ge=2, le=1000)
    new_data: Literal["together", "alone"] = "together"

    @model_validator(mode="after")
    def _columns_have_one_use(self) -> Self:
        if self.positive is not None and self.objective != "binary":
            raise ValueError(
                f"positive ({self.positive}) says which of two classes is looked for, and the objective is "
                f"{self.objective}: remove it, or make the objective binary"
            )
        for name in (self.target, self.time_column):
            if name in self.leave_out or name in self.categorical:
                raise ValueError(f"the column {name} has a use of its own: take it out of the lists")
        if self.time_column == self.target:
            raise ValueError(f"the target {self.target} cannot be the time_column too")
        return self


class Split(Part):
    """How rows are shared out.

    Attributes:
        method: `chronological`, each series by its own time; `random`; or `stratified`, each class alike.
        train: share to fit on.
        validation: share to stop early and to calibrate the band on.
        test: share that nothing but the evaluation sees.
        seed: of the random and the stratified method.
    """

    method: Literal["chronological", "random", "stratified"] = "chronological"
    train: float = Field(default=0.7, gt=0, lt=1)
    validation: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)
    seed: int = Field(default=1729, ge=0)

    @model_validator(mode="after")
    def _shares_are_a_whole(self) -> Self:
        total = sum(Fraction(str(share)) for share in self.shares)
        if total != 1:
            raise ValueError(
                f"train, validation and test make {float(total):g}, not 1: change one of the three shares"
            )
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """Return the shares in the order train, validation, test."""
        return self.train, self.validation, self.test

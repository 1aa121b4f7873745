"""What a manifest beside the data, or Airflow's trigger form, puts in place of the model spec."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError

from vigil.errors import SettingsError
from vigil.settings import explain
from vigil.training.spec.gates import Gates
from vigil.training.spec.part import INSTANCE, Objective, Part

Scalar = str | int | float | bool


class InstanceOverride(Part):
    """Machines of the training job.

    Attributes:
        type: SageMaker instance type.
        count: how many.
        max_runtime_min: the job is stopped after so many minutes.
    """

    type: str | None = Field(default=None, pattern=INSTANCE)
    count: int | None = Field(default=None, ge=1)
    max_runtime_min: int | None = Field(default=None, ge=1)


class SplitOverride(Part):
    """How rows are shared out; what is not given stays as in the model spec."""

    method: Literal["chronological", "random", "stratified"] | None = None
    train: float | None = Field(default=None, gt=0, lt=1)
    validation: float | None = Field(default=None, gt=0, lt=1)
    test: float | None = Field(default=None, gt=0, lt=1)
    seed: int | None = Field(default=None, ge=0)


class Overrides(Part):
    """What a person says of a training, where it differs from the model spec.

    Attributes:
        target: column to predict, of a tabular model.
        objective: of a tabular model.
        hyperparameters: by name; null takes one away.
        inherit: where the hyperparameters come from that are not given here.
        image_uri: container image that trains and serves.
        instance: machines of the training job.
        split: of the rows.
        gates: that the candidate must pass.
        approval: `gates` alone, or a `person` too.
    """

    target: str | None = None
    objective: Objective | None = None
    hyperparameters: dict[str, Scalar | None] | None = None
    inherit: Literal["none", "champion", "last_job"] | None = None
    image_uri: str | None = Field(default=None, pattern=r"^[^\s/]+/[^\s]+$")
    instance: InstanceOverride | None = None
    split: SplitOverride | None = None
    gates: Gates | None = None
    approval: Literal["gates", "person"] | None = None

    def changes(self) -> dict[str, Any]:
        """Return what is given, nested as a model spec is; hyperparameters left out."""
        given = self.model_dump(mode="json", exclude_none=True, exclude={"hyperparameters"})
        changes = {
            "data": {name: given[name] for name in ("target", "objective") if name in given},
            "algorithm": {name: given[name] for name in ("inherit", "image_uri") if name in given},
            "training": {
                {"type": "instance_type", "count": "instance_count"}.get(name, name): value
                for name, value in given.get("instance", {}).items()
            },
            "split": given.get("split", {}),
            "gates": given.get("gates", {}),
            "approval": {"by": given["approval"]} if "approval" in given else {},
        }
        return {part: values for part, values in changes.items() if values}


def parse_overrides(content: Any, what: str) -> Overrides:
    """Check overrides that were read from JSON.

    Args:
        content: as read.
        what: how to call it in errors.

    Raises:
        SettingsError: something in it is unknown or cannot be used; the message names every one.
    """
    try:
        return Overrides.model_validate(content)
    except ValidationError as error:
        raise SettingsError(explain(error, what, Overrides)) from error

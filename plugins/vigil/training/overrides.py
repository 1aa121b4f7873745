"""What a manifest beside the data, or Airflow's trigger form, puts in place of the model spec."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, ValidationError

from vigil.errors import SettingsError
from vigil.paths import configs_dir
from vigil.settings import explain
from vigil.training.spec.gates import Gates
from vigil.training.spec.part import INSTANCE, Objective, Part

_SCHEMA = "manifest.schema.json"

Scalar = str | int | float | bool


class InstanceOverride(Part):
    """Machines of the training job."""

    type: str | None = Field(default=None, pattern=INSTANCE, description="SageMaker instance type.")
    count: int | None = Field(default=None, ge=1, description="How many.")
    max_runtime_min: int | None = Field(
        default=None, ge=1, description="The job is stopped after so many minutes."
    )


class SplitOverride(Part):
    """How rows are shared out; what is not given stays as in the model spec."""

    method: Literal["chronological", "random", "stratified"] | None = None
    train: float | None = Field(default=None, gt=0, lt=1)
    validation: float | None = Field(default=None, gt=0, lt=1)
    test: float | None = Field(default=None, gt=0, lt=1)
    seed: int | None = Field(default=None, ge=0)


class Overrides(Part):
    """What a person says of a training, where it differs from the model spec."""

    target: str | None = Field(default=None, description="Column to predict, of a tabular model.")
    objective: Objective | None = Field(default=None, description="Of a tabular model.")
    hyperparameters: dict[str, Scalar | None] | None = Field(
        default=None, description="Beside those of the model spec, by name; null takes one away."
    )
    inherit: Literal["none", "champion", "last_job"] | None = Field(
        default=None, description="Where the hyperparameters come from that are not given here."
    )
    image_uri: str | None = Field(
        default=None, pattern=r"^[^\s/]+/[^\s]+$", description="Container image that trains and serves."
    )
    instance: InstanceOverride | None = Field(default=None, description="Machines of the training job.")
    split: SplitOverride | None = Field(default=None, description="How rows are shared out.")
    gates: Gates | None = Field(default=None, description="What the candidate must reach.")
    approval: Literal["gates", "person"] | None = Field(
        default=None, description="Who approves a candidate that has passed the gates."
    )

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


def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema of `manifest.json`, as shipped in `include/configs/manifest.schema.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "manifest.json: what is trained otherwise than the model spec says",
        **{name: part for name, part in Overrides.model_json_schema().items() if name != "title"},
    }


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


if __name__ == "__main__":
    (configs_dir() / _SCHEMA).write_text(json.dumps(manifest_schema(), indent=2) + "\n", encoding="utf-8")

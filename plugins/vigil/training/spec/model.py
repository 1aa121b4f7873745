"""The whole model spec, read from its file."""

from __future__ import annotations

import difflib
import re
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from vigil.errors import SettingsError
from vigil.paths import configs_dir
from vigil.settings import explain
from vigil.training.spec.data import EventCounts, Split, Tabular
from vigil.training.spec.endpoint import Endpoint
from vigil.training.spec.gates import METRICS, Approval, Band, Gates
from vigil.training.spec.machines import Algorithm, Evaluation, Training, Transform
from vigil.training.spec.part import NAME, Objective, Part

# A model's name is the front part of its jobs' names, behind which a run must find room.
_NAME_LIMIT = 40


class ModelSpec(Part):
    """One model: data, split, algorithm, machines, band, gates, approval, endpoint."""

    name: str = Field(pattern=NAME, max_length=_NAME_LIMIT)
    data: EventCounts | Tabular = Field(default=EventCounts(), discriminator="kind")
    split: Split = Split()
    algorithm: Algorithm
    training: Training
    transform: Transform
    evaluation: Evaluation
    band: Band = Band()
    gates: Gates = Gates()
    approval: Approval = Approval()
    endpoint: Endpoint

    @property
    def objective(self) -> Objective:
        """Return what is predicted: a number, or one of two or more classes."""
        return self.data.objective

    @model_validator(mode="after")
    def _gates_can_be_passed(self) -> Self:
        for gate, metric in self.gates.metrics():
            if metric not in METRICS[self.objective]:
                raise ValueError(
                    f"gates.{gate} asks for {metric}, which a {self.objective} model does not have: "
                    f"take one of {', '.join(METRICS[self.objective])}"
                )
        if self.gates.min_coverage is not None and self.gates.min_coverage > self.band.coverage:
            raise ValueError(
                f"gates.min_coverage ({self.gates.min_coverage}) is above band.coverage "
                f"({self.band.coverage}), which a sound band would not reach: lower it, or widen the band"
            )
        if "band" in self.model_fields_set and self.objective != "regression":
            raise ValueError(f"a {self.objective} model has no band: remove it")
        return self

    @model_validator(mode="after")
    def _the_split_fits_the_data(self) -> Self:
        method = self.split.method
        if method == "stratified" and self.objective == "regression":
            raise ValueError(
                "split.method stratified needs classes, and a number is predicted: choose chronological or "
                "random"
            )
        tabular = isinstance(self.data, Tabular)
        if method == "chronological" and tabular and self.data.time_column is None:  # type: ignore[union-attr]
            raise ValueError(
                "split.method chronological needs data.time_column: give it, or choose random or stratified"
            )
        return self


def is_model_name(text: str) -> bool:
    """Tell whether a model spec may be called so."""
    return len(text) <= _NAME_LIMIT and re.fullmatch(NAME, text) is not None


def known_models() -> list[str]:
    """Return the names of all model specs."""
    return sorted(path.stem for path in (configs_dir() / "models").glob("*.yaml"))


def load_model_spec(name: str) -> ModelSpec:
    """Read `include/configs/models/<name>.yaml`.

    Raises:
        SettingsError: there is no such file, or something in it is unknown, missing or contradictory.
    """
    folder = configs_dir() / "models"
    file = folder / f"{name}.yaml"
    known = known_models()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
        raise SettingsError(f"There is no model spec {name!r} in {folder}: {hint}")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(f"The model spec {file.name} is no YAML: {error}") from error
    spec = parse_model_spec(content, f"the model spec {file.name}")
    if spec.name != name:
        raise SettingsError(
            f"The model spec {file.name} calls itself {spec.name!r}: make the two names equal."
        )
    return spec


def parse_model_spec(content: Any, what: str = "the model spec") -> ModelSpec:
    """Check a model spec that was read from YAML or JSON.

    Args:
        content: as read.
        what: how to call it in errors.

    Raises:
        SettingsError: something in it is unknown, missing or contradictory; the message names every one.
    """
    try:
        return ModelSpec.model_validate(content)
    except ValidationError as error:
        raise SettingsError(explain(error, what, ModelSpec)) from error

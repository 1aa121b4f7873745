"""The model spec: what to train, on what, how good it must be, and where it serves.

One YAML file a model in `include/configs/models/`, named like the model.
"""

from __future__ import annotations

import difflib
from datetime import timedelta
from fractions import Fraction
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vigil.errors import SettingsError
from vigil.paths import configs_dir
from vigil.settings import explain
from vigil.training.images import image_uri

_NAME = r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$"
_INSTANCE = r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"
# A model's name is the front part of its jobs' names, behind which a run must find room.
_NAME_LIMIT = 40

MetricName = Literal["rmse", "mae", "wape", "bias", "coverage"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class DataSpec(_Part):
    """What the model learns from.

    Attributes:
        kind: `event_counts`: one row a closed window of a series, described by `vigil.features`.
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
    def history(self) -> timedelta:
        """Return how far back the export reaches."""
        return timedelta(days=self.history_days)


class SplitSpec(_Part):
    """How rows are shared out.

    Attributes:
        method: `chronological`, each series by its own time, or `random`.
        train: share to fit on.
        validation: share to stop early and to calibrate the band on.
        test: share that nothing but the evaluation sees.
        seed: of the random method.
    """

    method: Literal["chronological", "random"] = "chronological"
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


class Image(_Part):
    """A container image: one of Amazon's own by name and version, or any by its whole URI.

    Attributes:
        image: repository name in `include/configs/images.yaml`.
        version: pinned there.
        image_uri: with account, region and tag or digest, in place of the two.
    """

    image: str | None = None
    version: str | None = None
    image_uri: str | None = Field(default=None, pattern=r"^[^\s/]+/[^\s]+$")

    @model_validator(mode="after")
    def _one_image(self) -> Self:
        if self.image_uri and (self.image or self.version):
            raise ValueError("image_uri already says everything: remove it, or remove image and version")
        if not self.image_uri and not (self.image and self.version):
            raise ValueError("which image is not said: give image and version, or image_uri")
        return self

    def uri(self, region: str) -> str:
        """Return the image's URI in a region."""
        return self.image_uri or image_uri(str(self.image), str(self.version), region)


class AlgorithmSpec(Image):
    """The image that trains and serves, and its hyperparameters, which SageMaker takes as strings."""

    hyperparameters: dict[str, str] = Field(default_factory=dict)

    @field_validator("hyperparameters", mode="before")
    @classmethod
    def _as_strings(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            str(name): str(value).lower() if isinstance(value, bool) else value
            for name, value in values.items()
        }


class JobSpec(_Part):
    """Machines of one job and how long it may take.

    Attributes:
        instance_type: SageMaker instance type.
        instance_count: how many.
        max_runtime_min: the job is stopped after so many minutes, whatever else fails.
    """

    instance_type: str = Field(pattern=_INSTANCE)
    instance_count: int = Field(default=1, ge=1)
    max_runtime_min: int = Field(default=60, ge=1, le=28 * 24 * 60)

    @property
    def max_runtime_s(self) -> int:
        """Return the longest run time in seconds."""
        return self.max_runtime_min * 60


class TrainingSpec(JobSpec):
    """Machines of the training job; `volume_gb` is the disk of each."""

    volume_gb: int = Field(default=30, ge=1)


class TransformSpec(JobSpec):
    """Machines of the batch transform jobs."""


class EvaluationSpec(Image):
    """Image and machine of the evaluation job: one, for the script reads all predictions.

    Attributes:
        instance_type: SageMaker instance type.
        volume_gb: its disk.
        max_runtime_min: the job is stopped after so many minutes.
    """

    instance_type: str = Field(default="ml.m5.large", pattern=_INSTANCE)
    volume_gb: int = Field(default=30, ge=1)
    max_runtime_min: int = Field(default=30, ge=1)

    @property
    def max_runtime_s(self) -> int:
        """Return the longest run time in seconds."""
        return self.max_runtime_min * 60


class BandSpec(_Part):
    """The band; `coverage` is the share of windows that should fall inside."""

    coverage: float = Field(default=0.999, gt=0, lt=1)


class ChampionGate(_Part):
    """The candidate's `metric` may be worse than the champion's by `by` at most, in the metric's unit."""

    metric: MetricName
    by: float = Field(ge=0)


class Gates(_Part):
    """What a candidate must reach on the test part; what is not given is not asked for.

    Attributes:
        max_rmse: in events.
        max_mae: in events.
        max_wape: sum of absolute errors over the sum of events.
        max_abs_bias: mean of expected less observed, in events, either way.
        min_coverage: share of windows inside the band.
        max_coverage: above it the band is too wide to notice anything.
        not_worse_than_champion: on the same rows.
    """

    max_rmse: float | None = Field(default=None, gt=0)
    max_mae: float | None = Field(default=None, gt=0)
    max_wape: float | None = Field(default=None, gt=0)
    max_abs_bias: float | None = Field(default=None, gt=0)
    min_coverage: float | None = Field(default=None, ge=0, le=1)
    max_coverage: float | None = Field(default=None, ge=0, le=1)
    not_worse_than_champion: ChampionGate | None = None

    @model_validator(mode="after")
    def _coverage_leaves_room(self) -> Self:
        if None not in (self.min_coverage, self.max_coverage) and self.min_coverage > self.max_coverage:  # type: ignore[operator]
            raise ValueError(
                f"min_coverage ({self.min_coverage}) is above max_coverage ({self.max_coverage}): swap them"
            )
        return self


class Serverless(_Part):
    """An endpoint without machines of its own.

    Attributes:
        memory_mb: of each worker.
        max_concurrency: calls at the same time.
    """

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    max_concurrency: int = Field(default=5, ge=1, le=200)


class EndpointSpec(_Part):
    """Where the champion serves: on instances, or serverless.

    Attributes:
        name: of the endpoint; it stays the same from release to release.
        instance_type: SageMaker instance type.
        instance_count: how many.
        serverless: in place of the two.
    """

    name: str = Field(pattern=_NAME, max_length=63)
    instance_type: str | None = Field(default=None, pattern=_INSTANCE)
    instance_count: int | None = Field(default=None, ge=1)
    serverless: Serverless | None = None

    @model_validator(mode="after")
    def _one_way_to_serve(self) -> Self:
        if self.serverless and (self.instance_type or self.instance_count):
            raise ValueError(
                "serverless and instance_type or instance_count exclude each other: remove one of the two"
            )
        if not self.serverless and not self.instance_type:
            raise ValueError("how it serves is not said: give instance_type, or serverless")
        return self

    @property
    def hosting(self) -> dict[str, Any]:
        """Return the fields of a production variant that say how it serves."""
        if self.serverless:
            return {
                "ServerlessConfig": {
                    "MemorySizeInMB": self.serverless.memory_mb,
                    "MaxConcurrency": self.serverless.max_concurrency,
                }
            }
        return {"InstanceType": self.instance_type, "InitialInstanceCount": self.instance_count or 1}


class ModelSpec(_Part):
    """One model: data, split, algorithm, machines, band, gates, endpoint."""

    name: str = Field(pattern=_NAME, max_length=_NAME_LIMIT)
    data: DataSpec = DataSpec()
    split: SplitSpec = SplitSpec()
    algorithm: AlgorithmSpec
    training: TrainingSpec
    transform: TransformSpec
    evaluation: EvaluationSpec
    band: BandSpec = BandSpec()
    gates: Gates = Gates()
    endpoint: EndpointSpec

    @model_validator(mode="after")
    def _gates_can_be_passed(self) -> Self:
        if self.gates.min_coverage is not None and self.gates.min_coverage > self.band.coverage:
            raise ValueError(
                f"gates.min_coverage ({self.gates.min_coverage}) is above band.coverage "
                f"({self.band.coverage}), which a sound band would not reach: lower it, or widen the band"
            )
        return self


def load_model_spec(name: str) -> ModelSpec:
    """Read `include/configs/models/<name>.yaml`.

    Raises:
        SettingsError: there is no such file, or something in it is unknown, missing or contradictory.
    """
    folder = configs_dir() / "models"
    file = folder / f"{name}.yaml"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
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

"""The parts of a model spec that say which images run on which machines, and for how long at most."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from vigil.training.images import image_uri
from vigil.training.spec.part import INSTANCE, Part

_TAGGED_IN_ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[^@:\s]+(:[\w.-]+)?")


class Image(Part):
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

    @property
    def repository(self) -> str:
        """Return the name of the repository that holds the image."""
        if self.image:
            return self.image
        return str(self.image_uri).split("/", 1)[1].partition("@")[0].partition(":")[0]


class Algorithm(Image):
    """The image that trains and serves, and its hyperparameters, which SageMaker takes as strings.

    Attributes:
        hyperparameters: by name.
        inherit: where hyperparameters come from that nobody gave for a run: `none` takes those above;
            `champion` those of the job that made the champion; `last_job` those of the last completed
            training job whose name begins with the setting `inherit_job_prefix`.
        retrain_on_push: whether `retrain_on_image_push` follows the repository of `image_uri`.
    """

    hyperparameters: dict[str, str] = Field(default_factory=dict)
    inherit: Literal["none", "champion", "last_job"] = "none"
    retrain_on_push: bool = False

    @field_validator("hyperparameters", mode="before")
    @classmethod
    def _as_strings(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            str(name): str(value).lower() if isinstance(value, bool) else value
            for name, value in values.items()
        }

    @model_validator(mode="after")
    def _a_repository_can_be_followed(self) -> Self:
        if self.retrain_on_push and not _TAGGED_IN_ECR.fullmatch(self.image_uri or ""):
            raise ValueError(
                "retrain_on_push follows a tag of a repository of your own in ECR: give image_uri, as in "
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainer:latest"
            )
        return self


class Job(Part):
    """Machines of one job and how long it may take.

    Attributes:
        instance_type: SageMaker instance type.
        instance_count: how many.
        max_runtime_min: the job is stopped after so many minutes, whatever else fails.
    """

    instance_type: str = Field(pattern=INSTANCE)
    instance_count: int = Field(default=1, ge=1)
    max_runtime_min: int = Field(default=60, ge=1, le=28 * 24 * 60)

    @property
    def max_runtime_s(self) -> int:
        """Return the longest run time in seconds."""
        return self.max_runtime_min * 60


class Training(Job):
    """Machines of the training job; `volume_gb` is the disk of each."""

    volume_gb: int = Field(default=30, ge=1)


class Transform(Job):
    """Machines of the batch transform jobs."""


class Evaluation(Image):
    """Image and machine of the evaluation job: one, for the script reads all predictions.

    Attributes:
        instance_type: SageMaker instance type.
        volume_gb: its disk.
        max_runtime_min: the job is stopped after so many minutes.
    """

    instance_type: str = Field(default="ml.m5.large", pattern=INSTANCE)
    volume_gb: int = Field(default=30, ge=1)
    # A processing job takes no more.
    max_runtime_min: int = Field(default=30, ge=1, le=9 * 24 * 60)

    @property
    def max_runtime_s(self) -> int:
        """Return the longest run time in seconds."""
        return self.max_runtime_min * 60

"""Images that people push to ECR: which of them a model has not been trained with yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pymysql.connections import Connection

from vigil.aws import error_code, error_message
from vigil.errors import CloudError
from vigil.training.resolving import TrainingRequest
from vigil.training.spec.model import known_models, load_model_spec
from vigil.training.triggers.ledger import Outcome, Subject, claim, known, settle


@dataclass(frozen=True)
class FollowedImage:
    """An image that a model follows: whenever its tag gets another digest, the model is trained with that.

    Attributes:
        model: name of the model spec.
        registry: host, which names account and region.
        repository: in that registry.
        tag: that is followed.
    """

    model: str
    registry: str
    repository: str
    tag: str

    @property
    def account(self) -> str:
        """Return the AWS account of the registry."""
        return self.registry.partition(".")[0]

    def by_digest(self, digest: str) -> str:
        """Return the URI of one version of the image."""
        return f"{self.registry}/{self.repository}@{digest}"


def followed_images(model: str | None) -> list[FollowedImage]:
    """Return the images that model specs follow: of one model, or of all."""
    followed = []
    for name in [model] if model else known_models():
        algorithm = load_model_spec(name).algorithm
        if algorithm.retrain_on_push:
            registry, _, rest = str(algorithm.image_uri).partition("/")
            repository, _, tag = rest.partition(":")
            followed.append(FollowedImage(name, registry, repository, tag or "latest"))
    return followed


def new_image(ecr: Any, image: FollowedImage) -> Subject | None:
    """Return what the followed tag stands for now, or None when nobody has pushed it yet.

    Raises:
        CloudError: the registry cannot be asked.
    """
    try:
        answer = ecr.describe_images(
            registryId=image.account, repositoryName=image.repository, imageIds=[{"imageTag": image.tag}]
        )
    except ClientError as error:
        if error_code(error) == "ImageNotFoundException":
            return None
        raise CloudError(
            f"The image {image.registry}/{image.repository}:{image.tag} of the model {image.model} cannot be "
            f"looked up: {error_message(error)}. Check algorithm.image_uri and the right to "
            "ecr:DescribeImages."
        ) from error
    digest = str(answer["imageDetails"][0]["imageDigest"])
    return Subject(image.model, "image", digest, image.by_digest(digest))


def claim_image(
    connection: Connection[Any], image: Subject, run: str, is_going_on: Callable[[str], bool], now: datetime
) -> bool:
    """Claim an image for a run; return whether the run is to train with it."""
    return claim(connection, image, run, is_going_on, now).outcome is Outcome.MINE


def is_trained_with(connection: Connection[Any], image: Subject) -> bool:
    """Tell whether a run has trained with an image."""
    found = known(connection, image.model, "image", run="")
    return any(one.identity == image.identity for one in found)


def settle_image(connection: Connection[Any], request: TrainingRequest, now: datetime) -> None:
    """Note that a run has trained with the image that it claimed."""
    model, run = request.run.model, request.dag_run
    for image in known(connection, model, "image", run):
        if not image.trained:
            settle(connection, Subject(model, "image", image.identity, image.source), run, now)

"""Images as ECR keeps them, and tells EventBridge of them.

Moto makes up a digest of an image's layers, so that many images share one, and forgets an image when its
last tag moves to another.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any
from uuid import uuid4

from moto.ecr.models import ECRBackend, Image, Repository, RepoTagMutability
from moto.events.models import events_backends

_put_image = ECRBackend.put_image


def apply() -> None:
    """Let repositories keep their images and tell of them."""
    setattr(ECRBackend, "put_image", _put_and_tell)  # noqa: B010 - mypy refuses the assignment


def _put_and_tell(
    backend: ECRBackend,
    repository_name: str,
    image_manifest: str,
    image_tag: str | None,
    media_type: str | None = None,
    digest: str | None = None,
) -> Image:
    repository = backend._get_repository(repository_name)
    digest = digest or f"sha256:{hashlib.sha256(image_manifest.encode()).hexdigest()}"
    _free_tag(repository, image_tag, image_manifest)
    image = _put_image(backend, repository_name, image_manifest, image_tag, media_type, digest)  # type: ignore[arg-type]
    _tell(backend, repository_name, image, image_tag)
    return image


def _free_tag(repository: Repository, tag: str | None, manifest: str) -> None:
    """Take a tag that may move off the image that has it; the image stays, by its digest."""
    if repository.image_tag_mutability != RepoTagMutability.MUTABLE:
        return
    for image in repository.images:
        if tag in image.image_tags and image.image_manifest != manifest:
            image.image_tags.remove(tag)
            image.image_tag = image.image_tags[-1] if image.image_tags else None  # type: ignore[assignment]


def _tell(backend: ECRBackend, repository_name: str, image: Image, tag: str | None) -> None:
    event: Any = {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": backend.account_id,
        "time": time.time(),
        "region": backend.region_name,
        "resources": [],
        "detail": {
            "result": "SUCCESS",
            "repository-name": repository_name,
            "image-digest": image.get_image_digest(),
            "action-type": "PUSH",
            "image-tag": tag or "",
        },
    }
    default_bus = events_backends[backend.account_id][backend.region_name].event_buses["default"]
    for rule in list(default_bus.rules.values()):
        rule.send_to_targets(event)

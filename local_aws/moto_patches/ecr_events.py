"""Tells EventBridge of a pushed image, as ECR does."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from moto.ecr.models import ECRBackend
from moto.events.models import events_backends

_put_image = ECRBackend.put_image


def apply() -> None:
    """Let repositories tell of their images."""
    setattr(ECRBackend, "put_image", _put_and_tell)  # noqa: B010 - mypy refuses the assignment


def _put_and_tell(backend: ECRBackend, repository_name: str, *arguments: Any, **named: Any) -> Any:
    image = _put_image(backend, repository_name, *arguments, **named)
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
            "image-tag": image.image_tag or "",
        },
    }
    default_bus = events_backends[backend.account_id][backend.region_name].event_buses["default"]
    for rule in list(default_bus.rules.values()):
        rule.send_to_targets(event)
    return image

"""S3 events as the cloud sends them: one for each object made, each with an id of its own.

Moto tells of a multipart upload twice and of every object as tagged too; to EventBridge it gives all events
the same id and sequencer, and the wrong reason.
"""

from __future__ import annotations

import itertools
import time
from typing import Any
from uuid import uuid4

from flask import request
from moto.events.models import events_backends
from moto.s3 import notifications
from moto.s3.notifications import S3NotificationEvent

_send_event = notifications.send_event
_counter = itertools.count(time.time_ns())
_REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "ObjectRemoved:Delete": "DeleteObject",
    "ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
}


def apply() -> None:
    """Let buckets tell by our rules."""
    notifications.send_event = _send_once
    notifications._send_event_bridge_message = _send_to_event_bridge


def _send_once(account_id: str, event_name: S3NotificationEvent, bucket: Any, key: Any) -> None:
    if not _is_part_of_another(event_name, key):
        _send_event(account_id, event_name, bucket, key)


def _is_part_of_another(event_name: S3NotificationEvent, key: Any) -> bool:
    """Tell whether moto does on the way what nobody asked for: the call asked for is told of by itself."""
    if event_name == S3NotificationEvent.OBJECT_CREATED_PUT_EVENT:
        return key.multipart is not None
    if event_name == S3NotificationEvent.OBJECT_TAGGING_PUT_EVENT:
        return "tagging" not in request.args
    return False


def _send_to_event_bridge(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
    sequencer = f"{next(_counter):016X}"
    name = S3NotificationEvent(event_name).value.removeprefix("s3:")
    event: Any = {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": notifications._detail_type(event_name),
        "source": "aws.s3",
        "account": account_id,
        "time": time.time(),
        "region": bucket.region_name,
        "resources": [bucket.arn],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": _describe(bucket, key) | {"sequencer": sequencer},
            "request-id": uuid4().hex[:16].upper(),
            "requester": account_id,
            "source-ip-address": "127.0.0.1",
            "reason": _REASONS.get(name, name),
        },
    }
    default_bus = events_backends[account_id][bucket.region_name].event_buses["default"]
    for rule in list(default_bus.rules.values()):
        rule.send_to_targets(event)


def _describe(bucket: Any, key: Any) -> dict[str, Any]:
    described = {"key": key.name, "size": key.size, "etag": key.etag.replace('"', "")}
    return described | ({"version-id": key.version_id} if bucket.is_versioned else {})

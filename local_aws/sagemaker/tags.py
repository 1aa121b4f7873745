"""Tags of every SageMaker resource, by ARN."""

from __future__ import annotations

from typing import Any

from local_aws.sagemaker.calls import Call, operation
from local_aws.sagemaker.errors import invalid


@operation
def add_tags(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Add tags to a resource."""
    _check_exists(call, request["ResourceArn"])
    return {"Tags": _as_list(call.store.tag(request["ResourceArn"], request["Tags"]))}


@operation
def list_tags(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List the tags of a resource."""
    _check_exists(call, request["ResourceArn"])
    return {"Tags": _as_list(call.store.tags(request["ResourceArn"]))}


@operation
def delete_tags(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take tags off a resource."""
    _check_exists(call, request["ResourceArn"])
    call.store.untag(request["ResourceArn"], request["TagKeys"])
    return {}


def _check_exists(call: Call, arn: str) -> None:
    call.store.get(arn, invalid(f"Resource {arn} does not exist."))


def _as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]

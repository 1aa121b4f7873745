"""Models: which image serves which artifact."""

from __future__ import annotations

import time
from typing import Any

from local_aws.sagemaker.calls import Call, operation
from local_aws.sagemaker.errors import AwsError, invalid
from local_aws.sagemaker.listing import list_records
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.validation import known_fields


@operation
def create_model(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Keep a model; its artifact is looked at when it is deployed, as in the cloud."""
    arn = call.arn("model", request["ModelName"])
    given = [request["PrimaryContainer"]] if "PrimaryContainer" in request else request.get("Containers", [])
    if not given:
        raise invalid("Both primaryContainer and containers are empty or null. Specify one of them.")
    containers = [_resolved(call, container) for container in given]
    shown = (
        {"PrimaryContainer": containers[0]} if "PrimaryContainer" in request else {"Containers": containers}
    )
    record = request | shown | {"ModelArn": arn, "CreationTime": time.time(), "_containers": containers}
    taken = invalid(f'Cannot create already existing model "{arn}".')
    call.add(arn, record, request.get("Tags", []), taken)
    return {"ModelArn": arn}


@operation
def describe_model(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a model."""
    return known_fields("DescribeModel", get_model(call, request["ModelName"]))


@operation
def list_models(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List models."""
    return list_records("ListModels", call.store.under(call.arn("model")), request, name="ModelName")


@operation
def delete_model(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Forget a model; endpoints that serve it go on."""
    call.store.remove(call.arn("model", request["ModelName"]), _missing(call, request["ModelName"]))
    return {}


def get_model(call: Call, name: str) -> Record:
    """Find a model, or raise in the cloud's words."""
    return call.store.get(call.arn("model", name), _missing(call, name))


def _missing(call: Call, name: str) -> AwsError:
    return invalid(f'Could not find model "{call.arn("model", name)}".')


def _resolved(call: Call, container: dict[str, Any]) -> dict[str, Any]:
    """Put the image and artifact of a registered model package into a container that names one."""
    package_name = container.get("ModelPackageName")
    if package_name is None:
        if "Image" not in container:
            raise invalid("Image or ModelPackageName must be given in a container definition.")
        return container
    package = call.store.get(package_name, invalid(f"ModelPackage {package_name} does not exist."))
    if package.get("ModelApprovalStatus", "Approved") != "Approved":
        raise invalid(
            f"Model package {package_name} has approval status {package['ModelApprovalStatus']}."
            " It must be Approved to create a model from it."
        )
    served = package["InferenceSpecification"]["Containers"][0]
    taken_over = {key: served[key] for key in ("Image", "ModelDataUrl", "Environment") if key in served}
    environment = taken_over.get("Environment", {}) | container.get("Environment", {})
    return taken_over | container | ({"Environment": environment} if environment else {})

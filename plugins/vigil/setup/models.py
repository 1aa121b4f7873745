"""Checks of the model registry and of endpoints."""

from __future__ import annotations

from botocore.exceptions import ClientError

from vigil.aws import error_code
from vigil.setup.configuration import pipeline_of, specs
from vigil.setup.findings import Look, failing, fine, not_applicable, tell_apart
from vigil.setup.ground import Ground

_NOT_THERE = ("ValidationException", "ResourceNotFound")


def registry(ground: Ground) -> Look:
    """Look whether the pipeline's model has its group of versions."""
    group = pipeline_of(ground).model
    try:
        ground.aws.client("sagemaker").describe_model_package_group(ModelPackageGroupName=group)
    except ClientError as error:
        if error_code(error) not in _NOT_THERE:
            raise
        return not_applicable(f"there is no group {group} yet", "the first registration makes it")
    return fine(group)


def endpoints(ground: Ground) -> Look:
    """Look whether each model's endpoint serves, if it is there yet."""
    looks = {spec.endpoint.name: _endpoint(ground, spec.endpoint.name) for spec in specs()}
    return tell_apart(looks, "there is no model spec")


def _endpoint(ground: Ground, name: str) -> Look:
    try:
        found = ground.aws.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error_code(error) not in _NOT_THERE:
            raise
        return not_applicable("is not there yet", "the first release makes it: trigger retrain_weekly")
    status = found["EndpointStatus"]
    if status in ("Failed", "OutOfService"):
        return failing(
            f"is {status}: {found.get('FailureReason', 'no reason is given')}",
            f"delete the endpoint {name}, and release again: roll_back_model, or retrain_weekly",
        )
    return fine(f"is {status}")

"""Makes sure that an endpoint serves the very artifact that was deployed, and that it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vigil.aws import error_message
from vigil.errors import CloudError
from vigil.predictions import CSV, predictions_of, request_body
from vigil.release.deployment import Deployment, DeploymentFailedError


@dataclass(frozen=True)
class Verified:
    """What an endpoint was seen to serve.

    Attributes:
        endpoint_config: its configuration.
        variant: that answered.
        model_data_url: artifact of the model that the configuration names.
        predictions: answers to the smoke test.
    """

    endpoint_config: str
    variant: str
    model_data_url: str
    predictions: tuple[float, ...]


def verify_deployment(
    sagemaker: Any, runtime: Any, deployment: Deployment, rows: Sequence[Sequence[float]]
) -> Verified:
    """Check what an endpoint serves, from its configuration down to an answer.

    Args:
        sagemaker: client.
        runtime: client of `sagemaker-runtime`.
        deployment: that should be in service.
        rows: features to ask about, shape (n, features).

    Raises:
        DeploymentFailedError: it serves something else, or does not answer with a finite number each row.
    """
    endpoint = sagemaker.describe_endpoint(EndpointName=deployment.endpoint)
    reason = endpoint.get("FailureReason")
    _same(deployment, "status", endpoint["EndpointStatus"], "InService", reason)
    if endpoint["EndpointConfigName"] != deployment.endpoint_config:
        raise DeploymentFailedError(
            f"The endpoint {deployment.endpoint} is in service by its old configuration "
            f"{endpoint['EndpointConfigName']}, {deployment.endpoint_config} was not taken over: "
            f"{reason or 'AWS gives no reason'}"
        )
    if reason:
        raise DeploymentFailedError(
            f"The endpoint {deployment.endpoint} is in service, but AWS gives a reason of failure: {reason}"
        )
    config = sagemaker.describe_endpoint_config(EndpointConfigName=deployment.endpoint_config)
    (variant,) = config["ProductionVariants"]
    _same(deployment, "variant", variant["VariantName"], deployment.variant)
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    served = model["PrimaryContainer"]["ModelDataUrl"]
    package = sagemaker.describe_model_package(ModelPackageName=deployment.model_package_arn)
    registered = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    _same(deployment, "artifact", served, registered)
    predictions = _answers(runtime, deployment, rows)
    return Verified(deployment.endpoint_config, deployment.variant, served, predictions)


def _answers(runtime: Any, deployment: Deployment, rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=deployment.endpoint, ContentType=CSV, Accept=CSV, Body=request_body(rows)
        )
        predictions = predictions_of(answer["Body"].read(), answer["ContentType"], len(rows))
    except runtime.exceptions.ModelError as error:
        raise DeploymentFailedError(
            f"The endpoint {deployment.endpoint} fails the smoke test of {deployment.model_version}: "
            f"{error_message(error)}"
        ) from error
    except CloudError as error:
        raise DeploymentFailedError(f"{deployment.endpoint} fails the smoke test: {error}") from error
    _same(deployment, "answering variant", answer["InvokedProductionVariant"], deployment.variant)
    return tuple(predictions)


def _same(deployment: Deployment, what: str, found: str, wanted: str, reason: str | None = None) -> None:
    if found != wanted:
        because = f" AWS says: {reason}" if reason else ""
        raise DeploymentFailedError(
            f"The endpoint {deployment.endpoint} does not serve {deployment.model_version}: its {what} is "
            f"{found}, not {wanted}.{because}"
        )

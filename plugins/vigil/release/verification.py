"""Makes sure that an endpoint serves the very artifact that was deployed, and that it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from vigil.aws import error_message
from vigil.errors import CloudError
from vigil.predictions import CSV, answers_of, request_body
from vigil.release.deployment import Deployment, DeploymentFailedError
from vigil.smoke_tests import SmokeTest

# Models compute in single precision, of 1e-7, and sums in another order differ by some of these.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Verified:
    """What an endpoint was seen to serve.

    Attributes:
        endpoint_config: its configuration.
        variant: that answered.
        model_data_url: artifact of the model that the configuration names.
        answers: to the smoke test.
    """

    endpoint_config: str
    variant: str
    model_data_url: str
    answers: tuple[tuple[float, ...], ...]


def verify_deployment(
    sagemaker: Any, runtime: Any, deployment: Deployment, smoke_test: SmokeTest | None
) -> Verified:
    """Check what an endpoint serves, from its configuration down to an answer.

    Args:
        sagemaker: client.
        runtime: client of `sagemaker-runtime`.
        deployment: that should be in service.
        smoke_test: rows with the version's known answers; None checks only what is served.

    Raises:
        DeploymentFailedError: it serves something else, does not answer, or answers something else.
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
    # A reason that stands beside the wanted configuration is that of a later update, away from it.
    config = sagemaker.describe_endpoint_config(EndpointConfigName=deployment.endpoint_config)
    (variant,) = config["ProductionVariants"]
    _same(deployment, "variant", variant["VariantName"], deployment.variant)
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    served = model["PrimaryContainer"]["ModelDataUrl"]
    package = sagemaker.describe_model_package(ModelPackageName=deployment.model_package_arn)
    registered = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    _same(deployment, "artifact", served, registered)
    answers = _known_answers(runtime, deployment, smoke_test) if smoke_test else ()
    return Verified(deployment.endpoint_config, deployment.variant, served, answers)


def _known_answers(
    runtime: Any, deployment: Deployment, smoke_test: SmokeTest
) -> tuple[tuple[float, ...], ...]:
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=deployment.endpoint, ContentType=CSV, Accept=CSV, Body=request_body(smoke_test.rows)
        )
        answers = answers_of(answer["Body"].read(), answer["ContentType"], len(smoke_test.rows))
    except runtime.exceptions.ModelError as error:
        raise DeploymentFailedError(
            f"The endpoint {deployment.endpoint} fails the smoke test of {deployment.model_version}: "
            f"{error_message(error)}"
        ) from error
    except CloudError as error:
        raise DeploymentFailedError(f"{deployment.endpoint} fails the smoke test: {error}") from error
    _same(deployment, "answering variant", answer["InvokedProductionVariant"], deployment.variant)
    for row, (found, known) in enumerate(zip(answers, smoke_test.answers, strict=True), 1):
        if len(found) != len(known) or not all(map(_equal, found, known)):
            raise DeploymentFailedError(
                f"The endpoint {deployment.endpoint} answers {found} to row {row} of the smoke test, and "
                f"{deployment.model_version} answered {known} in Batch Transform: it is not the same model, "
                "or its image serves it otherwise."
            )
    return tuple(answers)


def _equal(found: float, known: float) -> bool:
    """Tell whether two answers of one model are the same, but for the order of summing."""
    return math.isclose(found, known, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _same(deployment: Deployment, what: str, found: str, wanted: str, reason: str | None = None) -> None:
    if found != wanted:
        because = f" AWS says: {reason}" if reason else ""
        raise DeploymentFailedError(
            f"The endpoint {deployment.endpoint} does not serve {deployment.model_version}: its {what} is "
            f"{found}, not {wanted}.{because}"
        )

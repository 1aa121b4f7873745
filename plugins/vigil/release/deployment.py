"""Brings a registered model into service on an endpoint that keeps its name and never stops answering.

Every step can be called again after it was killed anywhere:

1. `plan_deployment` names everything; the same version on the same machines gets the same names.
2. `start_deployment` writes the version down as deploying, makes model and configuration, and moves the
   endpoint. Call it again while it answers that the endpoint is busy with something else.
3. `deployment_state` tells how far the endpoint is.
4. `verify_deployment` makes sure that it serves this very artifact and answers.
5. `promote` makes the version the champion, or `mark_failed` says that it never was. A champion that moves
   to other machines is written down by these only now: if it does not get there, it serves where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.aws import aws_name, content_hash
from vigil.bands import Band
from vigil.calibration import Calibration
from vigil.database import in_transaction, statement
from vigil.errors import CloudError, DataError
from vigil.release.registry import RegisteredModel, decide
from vigil.release.shifting import Shifting
from vigil.sagemaker_jobs import create_unless_it_exists, is_missing, may_pass
from vigil.smoke_tests import SmokeTest
from vigil.windows import now

_IN_MOTION = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class DeploymentFailedError(CloudError):
    """The endpoint does not serve what was deployed."""


class State(StrEnum):
    """How far a deployment is.

    `MOVING`: this call set the endpoint in motion towards the wanted configuration. `BUSY`: the endpoint is
    in motion, towards whatever. `SERVING`: it is in service by the wanted configuration. `ELSEWHERE`: it
    stands still without it, so the deployment failed, or was not started yet.
    """

    MOVING = "moving"
    BUSY = "busy"
    SERVING = "serving"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class DeploymentState:
    """What an endpoint is doing, seen from one deployment.

    Attributes:
        state: see `State`.
        detail: what AWS says, for people.
    """

    state: State
    detail: str


@dataclass(frozen=True)
class Deployment:
    """What is to be served where; plain values, so that it can be handed from task to task.

    Attributes:
        model: name of the model spec.
        model_version: group and version.
        model_package_arn: in the registry.
        training_job: that made it.
        image: container image that serves it.
        model_data_url: S3 location of its artifact.
        endpoint: its name.
        variant: production variant, called after the version: who calls the endpoint learns from it which
            version answered.
        hosting: fields of the production variant that say on what machines.
        sagemaker_model: name of the Model.
        endpoint_config: name of the EndpointConfig.
        deployment_config: how calls move to it; None leaves it to SageMaker.
        due_at: moment for which it was trained, in ISO 8601; naive UTC.
    """

    model: str
    model_version: str
    model_package_arn: str
    training_job: str
    image: str
    model_data_url: str
    endpoint: str
    variant: str
    hosting: dict[str, Any]
    sagemaker_model: str
    endpoint_config: str
    deployment_config: dict[str, Any] | None
    due_at: str

    def to_json(self) -> dict[str, Any]:
        """Return the deployment as JSON-like content."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Deployment:
        """Read a deployment from JSON-like content."""
        return cls(**content)


def plan_deployment(
    registered: RegisteredModel,
    *,
    model: str,
    endpoint: str,
    hosting: Mapping[str, Any],
    shifting: Shifting,
    due_at: datetime,
) -> Deployment:
    """Name everything that serves a version.

    Args:
        registered: version, approved.
        model: name of the model spec.
        endpoint: name of the endpoint.
        hosting: fields of a production variant, as in `{"InstanceType": …, "InitialInstanceCount": 1}`.
        shifting: how calls move to it.
        due_at: moment for which it was trained; naive UTC.

    Raises:
        DataError: the version is not approved.
    """
    if registered.approval != "Approved":
        raise DataError(
            f"{registered.model_version} is {registered.approval} "
            f"({registered.reason or 'no reason given'}): only an approved version may be deployed."
        )
    group, _, number = registered.model_version.rpartition("/")
    variant = aws_name(f"v{number}")
    served = {"image": registered.image, "data": registered.model_data_url}
    where = {"endpoint": endpoint, "hosting": dict(hosting), **served}
    return Deployment(
        model=model,
        model_version=registered.model_version,
        model_package_arn=registered.model_package_arn,
        training_job=registered.training_job,
        image=registered.image,
        model_data_url=registered.model_data_url,
        endpoint=endpoint,
        variant=variant,
        hosting=dict(hosting),
        sagemaker_model=aws_name(group, f"{variant}-{content_hash(served)}"),
        endpoint_config=aws_name(group, f"{variant}-{content_hash(where)}"),
        deployment_config=shifting.deployment_config(),
        due_at=due_at.isoformat(),
    )


def start_deployment(
    connection: Connection[Any],
    sagemaker: Any,
    deployment: Deployment,
    *,
    band: Band | Calibration | None,
    metrics: Mapping[str, Any],
    smoke_test: SmokeTest | None,
    role: str,
    tags: list[dict[str, str]],
) -> DeploymentState:
    """Move the endpoint to a version; do nothing if it is there or on its way.

    The version and its band are in the database before the endpoint can answer with it.

    Args:
        connection: an open connection with nothing uncommitted on it.
        sagemaker: client.
        deployment: as planned.
        band: of the version; None of one that tells classes.
        metrics: of its evaluation.
        smoke_test: rows with its known answers.
        role: that the model runs as.
        tags: of everything this makes.

    Returns:
        `MOVING` or `SERVING`; or `BUSY` when something must end first, perhaps what an earlier try of this
        deployment began: call this again when it has.
    """
    _write_down(connection, deployment, band, metrics, smoke_test)
    _make_model(sagemaker, deployment, role, tags)
    _make_endpoint_config(sagemaker, deployment, tags)
    endpoint = _describe_endpoint(sagemaker, deployment.endpoint)
    wanted: dict[str, Any] = {
        "EndpointName": deployment.endpoint,
        "EndpointConfigName": deployment.endpoint_config,
    }
    if endpoint is None:
        sagemaker.create_endpoint(**wanted, Tags=tags)
        return DeploymentState(State.MOVING, "the endpoint is being created")
    status = endpoint["EndpointStatus"]
    if status in _IN_MOTION:
        return DeploymentState(State.BUSY, f"the endpoint is {status}")
    if status == "Failed":
        # AWS lets nobody update it: it must go before it can come again.
        sagemaker.delete_endpoint(EndpointName=deployment.endpoint)
        return DeploymentState(State.BUSY, "the failed endpoint is being deleted")
    if endpoint["EndpointConfigName"] == deployment.endpoint_config:
        return DeploymentState(State.SERVING, "the endpoint serves it already")
    if deployment.deployment_config:
        wanted["DeploymentConfig"] = deployment.deployment_config
    sagemaker.update_endpoint(**wanted)
    return DeploymentState(State.MOVING, "the endpoint is being updated")


def deployment_state(sagemaker: Any, deployment: Deployment) -> DeploymentState:
    """Tell how far an endpoint is; a question that AWS cannot answer now counts as still busy."""
    try:
        endpoint = _describe_endpoint(sagemaker, deployment.endpoint)
    except (ClientError, BotoCoreError) as error:
        if may_pass(error):
            return DeploymentState(State.BUSY, f"how the endpoint is cannot be told: {error}")
        raise
    if endpoint is None:
        return DeploymentState(State.ELSEWHERE, "there is no such endpoint")
    status, serves = endpoint["EndpointStatus"], endpoint["EndpointConfigName"]
    detail = f"the endpoint is {status} by {serves}"
    if endpoint.get("FailureReason"):
        detail += f": {endpoint['FailureReason']}"
    if status in _IN_MOTION:
        return DeploymentState(State.BUSY, detail)
    if status == "InService" and serves == deployment.endpoint_config:
        return DeploymentState(State.SERVING, detail)
    return DeploymentState(State.ELSEWHERE, detail)


def move_back(sagemaker: Any, deployment: Deployment, endpoint_config: str) -> bool:
    """Move an endpoint that serves a failed deployment to the configuration that served before.

    It answers meanwhile, and whoever deploys next waits for it.

    Args:
        sagemaker: client.
        deployment: that failed.
        endpoint_config: of the champion.

    Returns:
        Whether it is on its way; one that does not serve the deployment is left as it is.
    """
    if deployment.endpoint_config == endpoint_config:
        return False
    if deployment_state(sagemaker, deployment).state is not State.SERVING:
        return False
    sagemaker.update_endpoint(EndpointName=deployment.endpoint, EndpointConfigName=endpoint_config)
    return True


def _describe_endpoint(sagemaker: Any, name: str) -> dict[str, Any] | None:
    try:
        endpoint: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return endpoint


def _make_model(sagemaker: Any, deployment: Deployment, role: str, tags: list[dict[str, str]]) -> None:
    request = {
        "ModelName": deployment.sagemaker_model,
        "PrimaryContainer": {"Image": deployment.image, "ModelDataUrl": deployment.model_data_url},
        "ExecutionRoleArn": role,
        "Tags": tags,
    }
    create_unless_it_exists(sagemaker.create_model, request)


def _make_endpoint_config(sagemaker: Any, deployment: Deployment, tags: list[dict[str, str]]) -> None:
    variant = {"VariantName": deployment.variant, "ModelName": deployment.sagemaker_model}
    request = {
        "EndpointConfigName": deployment.endpoint_config,
        "ProductionVariants": [{**variant, **deployment.hosting}],
        "Tags": tags,
    }
    create_unless_it_exists(sagemaker.create_endpoint_config, request)


def _write_down(
    connection: Connection[Any],
    deployment: Deployment,
    band: Band | Calibration | None,
    metrics: Mapping[str, Any],
    smoke_test: SmokeTest | None,
) -> None:
    values = {
        **_columns(deployment),
        "band": json.dumps(band.to_json() if band else None),
        "metrics": json.dumps(dict(metrics)),
        "smoke_test": json.dumps(smoke_test.to_json() if smoke_test else None),
        "now": now(),
    }

    def work(cursor: Cursor) -> None:
        known = _lock(cursor, deployment) is not None
        cursor.execute(statement(f"release/{'redeploy' if known else 'insert'}_release"), values)

    in_transaction(connection, work)


def promote(connection: Connection[Any], deployment: Deployment) -> None:
    """Make a verified version the champion, and retire the one before, in one transaction.

    Raises:
        DataError: the version was never deployed, or its deployment failed.
    """

    def work(cursor: Cursor) -> None:
        status = _lock(cursor, deployment)
        if status not in ("deploying", "champion"):
            raise DataError(
                f"{deployment.model_version} is {status or 'not written down'}, not deploying: deploy it "
                "again before it becomes the champion."
            )
        values = {**_columns(deployment), "now": now()}
        cursor.execute(statement("release/retire_champion"), values)
        cursor.execute(statement("release/crown_release"), values)

    in_transaction(connection, work)


def mark_failed(connection: Connection[Any], sagemaker: Any, deployment: Deployment, reason: str) -> None:
    """Mark a version whose deployment failed, here and in the registry; a champion stays one.

    Called again after it was killed between the two, it marks the second.

    Args:
        connection: an open connection with nothing uncommitted on it.
        sagemaker: client.
        deployment: that failed.
        reason: as AWS gives it.
    """
    values = {"model_version": deployment.model_version, "now": now()}

    def work(cursor: Cursor) -> str | None:
        cursor.execute(statement("release/fail_release"), values)
        return _lock(cursor, deployment)

    if in_transaction(connection, work) == "failed":
        decide(
            sagemaker,
            deployment.model_package_arn,
            approved=False,
            reasons=[f"Its deployment failed: {reason}"],
        )


def _columns(deployment: Deployment) -> dict[str, Any]:
    """Return what the database keeps of a deployment."""
    content = deployment.to_json()
    return {name: value for name, value in content.items() if name not in ("hosting", "deployment_config")}


def _lock(cursor: Cursor, deployment: Deployment) -> str | None:
    cursor.execute(statement("release/lock_release"), {"model_version": deployment.model_version})
    row = cursor.fetchone()
    return str(row[0]) if row else None

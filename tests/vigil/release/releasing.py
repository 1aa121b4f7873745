"""Steps of a release as the operators take them, waiting included."""

from __future__ import annotations

from typing import Any

from pymysql.connections import Connection

from tests.waiting import wait_for
from vigil.bands import Band
from vigil.release.deployment import Deployment, DeploymentState, State, deployment_state, start_deployment

ROLE = "arn:aws:iam::123456789012:role/vigil"
REGION = "eu-west-1"
TAGS = [{"Key": "project", "Value": "vigil"}]
BAND = Band(0.98, -2.5, 3.0, {"orders": 1.0}, 1.2)


def start(connection: Connection[Any], sagemaker: Any, deployment: Deployment) -> DeploymentState:
    return start_deployment(
        connection, sagemaker, deployment, band=BAND, metrics={"wape": 0.3}, role=ROLE, tags=TAGS
    )


def settle(sagemaker: Any, deployment: Deployment) -> DeploymentState:
    """Wait until the endpoint stands still."""
    wait_for(lambda: deployment_state(sagemaker, deployment).state is not State.BUSY, deployment.endpoint)
    return deployment_state(sagemaker, deployment)

"""Steps of a release as the operators take them, waiting included."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import xgboost
from pymysql.connections import Connection

from tests.waiting import wait_for
from vigil.aws import S3Location
from vigil.bands import Band
from vigil.features import FEATURE_NAMES
from vigil.release.deployment import (
    Deployment,
    DeploymentState,
    State,
    deployment_state,
    plan_deployment,
    start_deployment,
)
from vigil.release.registry import Candidate, RegisteredModel, register
from vigil.release.shifting import Shifting
from vigil.smoke_tests import SmokeTest

REGION = "eu-west-1"
DUE = datetime(2026, 11, 2, 4)
ROLE = "arn:aws:iam::123456789012:role/vigil"
TAGS = [{"Key": "project", "Value": "vigil"}]
IMAGE = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1"
HOSTING = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
BAND = Band(0.98, below=2.5, above=3.0)
AT_ONCE = Shifting()
AT_REST = ("InService", "Failed")
ROWS = [[0.5] * len(FEATURE_NAMES), [1.0] * len(FEATURE_NAMES)]


@dataclass(frozen=True)
class Registry:
    """Registers versions; bucket, group and endpoint have one name."""

    s3: Any
    sagemaker: Any
    name: str
    artifact: bytes

    def candidate(self, number: int, artifact: bytes | None = None) -> Candidate:
        location = S3Location(self.name, f"model-{number}.tar.gz")
        self.s3.put_object(Bucket=self.name, Key=location.key, Body=artifact or self.artifact)
        return Candidate(
            image=IMAGE,
            model_data_url=str(location),
            training_job=f"train-{number}",
            dataset=S3Location(self.name, "dataset/schema.json"),
            manifest=S3Location(self.name, "export/manifest.json"),
            evaluation=S3Location(self.name, "evaluation/evaluation.json"),
            band=S3Location(self.name, "evaluation/band.json"),
            smoke_test=S3Location(self.name, "smoke-test.json"),
            report=S3Location(self.name, "evaluation/report.md"),
            metrics={"wape": 0.3},
            run=f"run {number}",
        )

    def approve(self, number: int, artifact: bytes | None = None) -> RegisteredModel:
        candidate = self.candidate(number, artifact)
        return register(self.sagemaker, self.name, candidate, approved=True, reasons=["Good."], tags=TAGS)

    def plan(
        self, number: int, artifact: bytes | None = None, shifting: Shifting = AT_ONCE, **hosting: Any
    ) -> Deployment:
        registered = self.approve(number, artifact)
        return plan_deployment(
            registered,
            model=self.name,
            endpoint=self.name,
            hosting={**HOSTING, **hosting},
            shifting=shifting,
            due_at=DUE + timedelta(days=number),
        )

    def take_down(self) -> None:
        """Delete the endpoint if there is one; each is a process of its own."""
        if endpoint_status(self.sagemaker, self.name) is not None:
            wait_for(lambda: endpoint_status(self.sagemaker, self.name) in AT_REST, self.name)
            self.sagemaker.delete_endpoint(EndpointName=self.name)

    def versions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.sagemaker.list_model_packages(ModelPackageGroupName=self.name)[
            "ModelPackageSummaryList"
        ]
        return found


def endpoint_status(sagemaker: Any, name: str) -> str | None:
    found = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    return str(found[0]["EndpointStatus"]) if found else None


def start(connection: Connection[Any], sagemaker: Any, deployment: Deployment) -> DeploymentState:
    return start_deployment(
        connection,
        sagemaker,
        deployment,
        band=BAND,
        metrics={"wape": 0.3},
        smoke_test=None,
        role=ROLE,
        tags=TAGS,
    )


def settle(sagemaker: Any, deployment: Deployment) -> DeploymentState:
    """Wait until the endpoint stands still."""
    wait_for(lambda: deployment_state(sagemaker, deployment).state is not State.BUSY, deployment.endpoint)
    return deployment_state(sagemaker, deployment)


def bring_up(connection: Connection[Any], sagemaker: Any, deployment: Deployment) -> DeploymentState:
    """Start a deployment as often as it asks for, and wait for its end."""
    while start(connection, sagemaker, deployment).state is State.BUSY:
        settle(sagemaker, deployment)
    return settle(sagemaker, deployment)


def known_answers(artifact: bytes, rows: list[list[float]] = ROWS) -> SmokeTest:
    """Return what the model in an artifact says of rows, asked without an endpoint."""
    with tarfile.open(fileobj=io.BytesIO(artifact)) as archive:
        member = archive.extractfile("xgboost-model")
        assert member is not None
        booster = xgboost.Booster()
        booster.load_model(bytearray(member.read()))
    answers = booster.predict(xgboost.DMatrix(np.array(rows)))
    return SmokeTest(tuple(map(tuple, rows)), tuple((float(answer),) for answer in answers))

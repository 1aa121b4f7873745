"""What a role left in SageMaker is ended, also when it ends by itself at the worst moment."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import DeployError
from deploy.sagemaker_work import SageMakerWork
from tests.vigil.jobs_in_the_cloud import (
    ENDLESS_ROUNDS,
    XGBOOST,
    HeldContainer,
    bucket_with_training_data,
    training_request,
    unique,
)
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.sagemaker_jobs import TRAINING, describe, stop

RUNNING = ("InProgress", "Stopping")


@pytest.fixture
def sagemaker(aws: Aws) -> Any:
    return aws.client("sagemaker")


@pytest.fixture
def name() -> str:
    return unique("ending")


@pytest.fixture
def role(name: str) -> str:
    return f"arn:aws:iam::123456789012:role/{name}"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def work(aws: Aws, role: str, told: list[str]) -> SageMakerWork:
    return SageMakerWork(aws.client("sagemaker"), role, told.append, poll_s=0.05)


@pytest.fixture
def just_before(work: SageMakerWork) -> Iterator[Callable[[str, Callable[[], object]], None]]:
    """Let something happen just before the first call of an operation."""
    undone = []

    def just_before(operation: str, happens: Callable[[], object]) -> None:
        event, waiting = f"before-call.sagemaker.{operation}", [happens]

        def interfere(**_: object) -> None:
            if waiting:
                waiting.pop()()

        work.sagemaker.meta.events.register(event, interfere)
        undone.append((event, interfere))

    yield just_before
    for event, interfere in undone:
        work.sagemaker.meta.events.unregister(event, interfere)


@pytest.fixture
def endpoint(sagemaker: Any, name: str, role: str) -> str:
    """An endpoint that fails at once, and its configuration and model, all of one name."""
    return make_endpoint(sagemaker, name, role, "s3://nowhere/model.tar.gz")


@pytest.fixture
def held(tmp_path: Path) -> HeldContainer:
    return HeldContainer(tmp_path)


@pytest.fixture
def endpoint_in_motion(aws: Aws, sagemaker: Any, name: str, role: str, held: HeldContainer) -> str:
    """One whose server will start when it is let go, to find that its model is none."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("xgboost-model"), io.BytesIO())
    bucket = bucket_with_training_data(aws)
    aws.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=archive.getvalue())
    return make_endpoint(sagemaker, name, role, f"s3://{bucket}/model.tar.gz", held.environment)


def make_endpoint(
    sagemaker: Any, name: str, role: str, artifact: str, environment: Mapping[str, str] | None = None
) -> str:
    container = {"Image": XGBOOST, "ModelDataUrl": artifact, "Environment": environment or {}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "all", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    variants = [{**variant, "ModelName": name}]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return name


def what_is_left(sagemaker: Any, name: str) -> list[str]:
    models = sagemaker.list_models(NameContains=name)["Models"]
    configs = sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    endpoints = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    return [str(one) for one in (*models, *configs, *endpoints)]


def test_an_endpoint_in_motion_is_waited_for_and_named_after_an_hour(
    work, sagemaker, endpoint_in_motion, held, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("deploy.sagemaker_work._ENDPOINT_LIMIT_S", -1)
        with pytest.raises(DeployError, match=f"{endpoint_in_motion} has been Creating for an hour"):
            work.end()
    held.let_go()
    work.end()
    assert what_is_left(sagemaker, endpoint_in_motion) == []


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ("DescribeModel", "ModelName"),
        ("DeleteModel", "ModelName"),
        ("DescribeEndpointConfig", "EndpointConfigName"),
        ("DeleteEndpointConfig", "EndpointConfigName"),
        ("DescribeEndpoint", "EndpointName"),
        ("DeleteEndpoint", "EndpointName"),
    ],
)
def test_what_somebody_deletes_meanwhile_is_gone_and_no_failure(
    work, sagemaker, endpoint, just_before, operation, field
):
    wait_for(lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Failed", "it")
    what = field.removesuffix("Name")
    delete = {
        "Model": sagemaker.delete_model,
        "EndpointConfig": sagemaker.delete_endpoint_config,
        "Endpoint": sagemaker.delete_endpoint,
    }[what]
    happened = []
    just_before(operation, lambda: happened.append(delete(**{field: endpoint})))
    work.end()
    work.end()
    assert happened
    assert not [one for one in what_is_left(sagemaker, endpoint) if f"'{field}'" in one]


def test_a_job_that_ends_just_before_it_is_stopped_was_stopped(work, aws, sagemaker, name, role, just_before):
    request = training_request(bucket_with_training_data(aws), name, ENDLESS_ROUNDS) | {"RoleArn": role}
    sagemaker.create_training_job(**request)

    def ends() -> None:
        other = aws.client("sagemaker")
        stop(other, TRAINING, name)
        wait_for(lambda: describe(other, TRAINING, name)["TrainingJobStatus"] not in RUNNING, "its end")

    just_before("StopTrainingJob", ends)
    work.end()
    assert describe(sagemaker, TRAINING, name)["TrainingJobStatus"] == "Stopped"


def test_jobs_of_another_role_run_on(work, aws, sagemaker, name):
    sagemaker.create_training_job(**training_request(bucket_with_training_data(aws), name, ENDLESS_ROUNDS))
    work.end()
    assert describe(sagemaker, TRAINING, name)["TrainingJobStatus"] == "InProgress"
    stop(sagemaker, TRAINING, name)

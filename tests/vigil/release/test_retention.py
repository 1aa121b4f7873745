from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.jobs_in_the_cloud import HeldContainer
from tests.vigil.release.releasing import (
    AT_REST,
    HOSTING,
    IMAGE,
    ROLE,
    ROWS,
    Registry,
    bring_up,
    endpoint_status,
    start,
)
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.release.deployment import Deployment, promote
from vigil.release.retention import remove_old_releases
from vigil.windows import now

KEEP_DAYS = 30
LATER = timedelta(days=KEEP_DAYS + 1)


@pytest.fixture
def clean_up(registry: Registry, connection: Connection[Any], sagemaker: Any) -> Callable[..., set[str]]:
    """Remove what is old at a time."""

    def remove(moment: datetime) -> set[str]:
        return set(remove_old_releases(connection, sagemaker, registry.name, KEEP_DAYS, moment))

    return remove


@pytest.fixture
def three(registry: Registry, connection: Connection[Any], sagemaker: Any) -> list[Deployment]:
    """Three versions that served, one after the other."""
    deployments = [registry.plan(number) for number in (1, 2, 3)]
    for deployment in deployments:
        bring_up(connection, sagemaker, deployment)
        promote(connection, deployment)
    return deployments


@pytest.fixture(autouse=True)
def _tagged_with_the_registrys_name(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = [{"Key": "project", "Value": "vigil"}, {"Key": "model", "Value": registry.name}]
    monkeypatch.setattr("tests.vigil.release.releasing.TAGS", tags)


def names(*deployments: Deployment) -> set[str]:
    return {name for d in deployments for name in (d.endpoint_config, d.sagemaker_model)}


def test_what_ended_long_ago_goes_and_what_serves_stays(
    three: list[Deployment], clean_up: Callable[..., set[str]], sagemaker: Any
) -> None:
    first, second, third = three
    assert clean_up(now()) == set(), "nothing is old yet"
    assert clean_up(now() + LATER) == names(first, second)
    assert clean_up(now() + LATER) == set(), "a second time there is nothing left"
    endpoint = sagemaker.describe_endpoint(EndpointName=third.endpoint)
    assert endpoint["EndpointConfigName"] == third.endpoint_config
    sagemaker.describe_model(ModelName=third.sagemaker_model)


def test_a_version_that_was_removed_can_come_back(
    three: list[Deployment], clean_up: Callable[..., set[str]], connection: Connection[Any], sagemaker: Any
) -> None:
    clean_up(now() + LATER)
    bring_up(connection, sagemaker, three[0])
    promote(connection, three[0])
    assert clean_up(now() + LATER) == names(three[2])


def test_models_of_candidates_go_too_and_those_of_others_stay(
    registry: Registry, clean_up: Callable[..., set[str]], sagemaker: Any
) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": registry.candidate(1).model_data_url}
    ours = [{"Key": "project", "Value": "vigil"}, {"Key": "model", "Value": registry.name}]
    candidate, stranger = f"{registry.name}-train-1", f"{registry.name}-somebody-elses"
    for name, tags in ((candidate, ours), (stranger, [])):
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=tags)
    assert clean_up(now() + LATER) == {candidate}
    sagemaker.describe_model(ModelName=stranger)


def test_a_version_that_is_being_deployed_stays(
    registry: Registry, connection: Connection[Any], sagemaker: Any, clean_up: Callable[..., set[str]]
) -> None:
    deployment = registry.plan(1)
    start(connection, sagemaker, deployment)
    assert clean_up(now() + LATER) == set()


def test_what_any_other_endpoint_serves_stays(
    three: list[Deployment], clean_up: Callable[..., set[str]], sagemaker: Any
) -> None:
    first, second, _ = three
    other = f"other-{first.endpoint}"
    sagemaker.create_endpoint(EndpointName=other, EndpointConfigName=first.endpoint_config)
    try:
        assert clean_up(now() + LATER) == names(second)
    finally:
        wait_for(lambda: endpoint_status(sagemaker, other) in AT_REST, other)
        sagemaker.delete_endpoint(EndpointName=other)


def test_a_model_that_anybodys_configuration_names_stays(
    three: list[Deployment], clean_up: Callable[..., set[str]], sagemaker: Any
) -> None:
    first, second, _ = three
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"somebodys-{first.endpoint}",
        ProductionVariants=[{"VariantName": "theirs", "ModelName": first.sagemaker_model, **HOSTING}],
    )
    assert clean_up(now() + LATER) == names(second) | {first.endpoint_config}


def test_a_model_by_which_anybodys_job_predicts_stays_until_it_ends(
    registry: Registry, clean_up: Callable[..., set[str]], sagemaker: Any, aws: Aws, tmp_path: Path
) -> None:
    held = HeldContainer(tmp_path)
    artifact = registry.candidate(1).model_data_url
    container = {"Image": IMAGE, "ModelDataUrl": artifact, "Environment": held.environment}
    tags = [{"Key": "project", "Value": "vigil"}, {"Key": "model", "Value": registry.name}]
    model, job = f"{registry.name}-train-1", f"somebodys-{registry.name[-12:]}"
    sagemaker.create_model(ModelName=model, PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=tags)
    row = ",".join(map(str, ROWS[0]))
    aws.client("s3").put_object(Bucket=registry.name, Key="rows/0.csv", Body=row.encode())
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{registry.name}/rows/"}}
    sagemaker.create_transform_job(
        TransformJobName=job,
        ModelName=model,
        TransformInput={"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": f"s3://{registry.name}/answers"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )

    def status() -> str:
        return str(sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"])

    assert clean_up(now() + LATER) == set()
    assert status() == "InProgress"
    held.let_go()
    wait_for(lambda: status() == "Completed", job)
    assert clean_up(now() + LATER) == {model}

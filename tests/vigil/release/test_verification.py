from __future__ import annotations

from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.release.releasing import ROLE, ROWS, Registry, bring_up, known_answers, settle, start
from vigil.release.deployment import Deployment, DeploymentFailedError
from vigil.release.verification import verify_deployment
from vigil.smoke_tests import SmokeTest


@pytest.fixture
def deployed(registry: Registry, connection: Connection[Any], sagemaker: Any) -> Deployment:
    deployment = registry.plan(1)
    bring_up(connection, sagemaker, deployment)
    return deployment


def test_what_serves_is_seen_down_to_the_known_answers(
    deployed: Deployment, registry: Registry, sagemaker: Any, runtime: Any
) -> None:
    known = known_answers(registry.artifact)
    verified = verify_deployment(sagemaker, runtime, deployed, known)
    assert verified.endpoint_config == deployed.endpoint_config
    assert verified.model_data_url == deployed.model_data_url
    assert verified.variant == "v1"
    assert len(verified.answers) == len(ROWS)


def test_another_answer_than_the_known_one_is_a_failure(
    deployed: Deployment, registry: Registry, sagemaker: Any, runtime: Any
) -> None:
    known = known_answers(registry.artifact)
    (first, *others) = known.answers
    wrong = SmokeTest(known.rows, ((first[0] * 1.001,), *others))
    with pytest.raises(DeploymentFailedError, match="to row 1 of the smoke test"):
        verify_deployment(sagemaker, runtime, deployed, wrong)


def test_of_a_version_without_known_answers_what_serves_is_checked(
    deployed: Deployment, sagemaker: Any, runtime: Any
) -> None:
    assert verify_deployment(sagemaker, runtime, deployed, None).model_data_url == deployed.model_data_url


def test_in_service_by_the_old_configuration_is_a_failure_with_its_reason(
    deployed: Deployment, registry: Registry, connection: Connection[Any], sagemaker: Any, runtime: Any
) -> None:
    broken = registry.plan(2, b"no model")
    start(connection, sagemaker, broken)
    settle(sagemaker, broken)
    reason = sagemaker.describe_endpoint(EndpointName=broken.endpoint)["FailureReason"]
    with pytest.raises(DeploymentFailedError, match="in service by its old configuration") as error:
        verify_deployment(sagemaker, runtime, broken, None)
    assert deployed.endpoint_config in str(error.value)
    assert reason in str(error.value)


def test_a_later_update_that_failed_says_nothing_against_what_still_serves(
    deployed: Deployment, registry: Registry, connection: Connection[Any], sagemaker: Any, runtime: Any
) -> None:
    broken = registry.plan(2, b"no model")
    start(connection, sagemaker, broken)
    settle(sagemaker, broken)
    assert "FailureReason" in sagemaker.describe_endpoint(EndpointName=deployed.endpoint)
    known = known_answers(registry.artifact)
    assert verify_deployment(sagemaker, runtime, deployed, known).variant == "v1"


def test_an_endpoint_that_is_not_in_service_is_a_failure(
    registry: Registry, connection: Connection[Any], sagemaker: Any, runtime: Any
) -> None:
    broken = registry.plan(1, b"no model")
    bring_up(connection, sagemaker, broken)
    with pytest.raises(DeploymentFailedError, match="its status is Failed, not InService"):
        verify_deployment(sagemaker, runtime, broken, None)


def test_another_artifact_under_the_same_names_is_a_failure(
    deployed: Deployment, registry: Registry, sagemaker: Any, runtime: Any
) -> None:
    sagemaker.delete_model(ModelName=deployed.sagemaker_model)
    other = {"Image": deployed.image, "ModelDataUrl": f"s3://{registry.name}/other.tar.gz"}
    sagemaker.create_model(ModelName=deployed.sagemaker_model, PrimaryContainer=other, ExecutionRoleArn=ROLE)
    with pytest.raises(DeploymentFailedError, match=r"its artifact is .*other.tar.gz, not .*model-1.tar.gz"):
        verify_deployment(sagemaker, runtime, deployed, None)


def test_a_smoke_test_that_the_model_refuses_is_a_failure(
    deployed: Deployment, sagemaker: Any, runtime: Any
) -> None:
    with pytest.raises(DeploymentFailedError, match=r"fails the smoke test of .*/1: "):
        verify_deployment(sagemaker, runtime, deployed, SmokeTest(((1.0, 2.0),), ((1.0,),)))


def test_an_answer_of_the_wrong_length_is_a_failure(
    deployed: Deployment,
    registry: Registry,
    sagemaker: Any,
    runtime: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "vigil.release.verification.request_body", lambda rows: b",".join([b"1"] * len(rows[0]))
    )
    with pytest.raises(DeploymentFailedError, match="1 numbers to 2 rows"):
        verify_deployment(sagemaker, runtime, deployed, known_answers(registry.artifact))

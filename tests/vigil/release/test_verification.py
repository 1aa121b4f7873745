from __future__ import annotations

from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.release.releasing import ROLE, ROWS, Registry, bring_up, settle, start
from vigil.release.deployment import Deployment, DeploymentFailedError
from vigil.release.verification import verify_deployment


@pytest.fixture
def deployed(registry: Registry, connection: Connection[Any], sagemaker: Any) -> Deployment:
    deployment = registry.plan(1)
    bring_up(connection, sagemaker, deployment)
    return deployment


def test_what_serves_is_seen_down_to_an_answer(deployed: Deployment, sagemaker: Any, runtime: Any) -> None:
    verified = verify_deployment(sagemaker, runtime, deployed, ROWS)
    assert verified.endpoint_config == deployed.endpoint_config
    assert verified.model_data_url == deployed.model_data_url
    assert verified.variant == "v1"
    assert len(verified.predictions) == len(ROWS)


def test_in_service_by_the_old_configuration_is_a_failure_with_its_reason(
    deployed: Deployment, registry: Registry, connection: Connection[Any], sagemaker: Any, runtime: Any
) -> None:
    broken = registry.plan(2, b"no model")
    start(connection, sagemaker, broken)
    settle(sagemaker, broken)
    reason = sagemaker.describe_endpoint(EndpointName=broken.endpoint)["FailureReason"]
    with pytest.raises(DeploymentFailedError, match="in service by its old configuration") as error:
        verify_deployment(sagemaker, runtime, broken, ROWS)
    assert deployed.endpoint_config in str(error.value)
    assert reason in str(error.value)


def test_an_endpoint_that_is_not_in_service_is_a_failure(
    registry: Registry, connection: Connection[Any], sagemaker: Any, runtime: Any
) -> None:
    broken = registry.plan(1, b"no model")
    bring_up(connection, sagemaker, broken)
    with pytest.raises(DeploymentFailedError, match="its status is Failed, not InService"):
        verify_deployment(sagemaker, runtime, broken, ROWS)


def test_another_artifact_under_the_same_names_is_a_failure(
    deployed: Deployment, registry: Registry, sagemaker: Any, runtime: Any
) -> None:
    sagemaker.delete_model(ModelName=deployed.sagemaker_model)
    other = {"Image": deployed.image, "ModelDataUrl": f"s3://{registry.name}/other.tar.gz"}
    sagemaker.create_model(ModelName=deployed.sagemaker_model, PrimaryContainer=other, ExecutionRoleArn=ROLE)
    with pytest.raises(DeploymentFailedError, match=r"its artifact is .*other.tar.gz, not .*model-1.tar.gz"):
        verify_deployment(sagemaker, runtime, deployed, ROWS)


def test_a_smoke_test_that_the_model_refuses_is_a_failure(
    deployed: Deployment, sagemaker: Any, runtime: Any
) -> None:
    with pytest.raises(DeploymentFailedError, match=r"fails the smoke test of .*/1: "):
        verify_deployment(sagemaker, runtime, deployed, [[1.0, 2.0]])


def test_an_answer_of_the_wrong_length_is_a_failure(
    deployed: Deployment, sagemaker: Any, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vigil.release.verification.request_body", lambda rows: b",".join([b"1"] * len(rows[0]))
    )
    with pytest.raises(DeploymentFailedError, match="1 predictions to 2 rows"):
        verify_deployment(sagemaker, runtime, deployed, ROWS)

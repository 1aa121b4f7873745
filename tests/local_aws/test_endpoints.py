from __future__ import annotations

import io
import json
import socket
import tarfile
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws_support import (
    LINEAR_LEARNER,
    artifact,
    csv_bytes,
    log_lines,
    make_client,
    make_config,
    make_model,
    settled,
    table,
    wait_until,
)

from local_aws.sagemaker.model_server import _bound_socket
from tests.vigil.jobs_in_the_cloud import HeldContainer

ROW = b"0.5,-1,0.25"


@pytest.fixture(scope="session")
def runtime(client: Any) -> Any:
    return client("sagemaker-runtime")


@pytest.fixture(scope="session")
def steady(sagemaker: Any, model: str) -> str:
    """An endpoint that no test changes."""
    make_config(sagemaker, "steady", model)
    sagemaker.create_endpoint(EndpointName="steady", EndpointConfigName="steady")
    settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName="steady")
    return "steady"


def ask(runtime: Any, endpoint: str, body: bytes = ROW, **headers: str) -> Any:
    return runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=body, **headers)


def code_and_message(caught: Any) -> tuple[str, str]:
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_an_endpoint_answers_a_line_per_row_and_names_its_variant(steady, runtime):
    rows = table(30, seed=9)
    response = ask(runtime, steady, csv_bytes(rows[:, 1:]))
    assert response["InvokedProductionVariant"] == "AllTraffic"
    assert response["ContentType"].startswith("text/csv")
    answers = [float(line) for line in response["Body"].read().decode().splitlines()]
    assert len(answers) == 30
    errors = [abs(answer - label) for answer, label in zip(answers, rows[:, 0], strict=True)]
    assert sum(errors) < sum(abs(rows[:, 0] - rows[:, 0].mean())) / 2


def test_json_is_answered_where_json_is_wanted(steady, runtime):
    plain = float(ask(runtime, steady)["Body"].read())
    wanted = ask(runtime, steady, Accept="application/json")
    assert json.load(wanted["Body"]) == {"predictions": [{"score": plain}]}


def test_describe_tells_what_is_deployed(steady, sagemaker):
    found = sagemaker.describe_endpoint(EndpointName=steady)
    assert found["EndpointConfigName"] == steady
    (variant,) = found["ProductionVariants"]
    assert variant["VariantName"] == "AllTraffic"
    assert variant["DeployedImages"][0]["SpecifiedImage"].endswith("sagemaker-xgboost:1.7-1")
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (1.0, 1)


def test_creating_can_be_observed_and_nothing_is_served_meanwhile(
    sagemaker, runtime, trained, name, tmp_path
):
    held = HeldContainer(tmp_path)
    make_config(sagemaker, name, make_model(sagemaker, name, artifact(trained), environment=held.environment))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError) as caught:
        ask(runtime, name)
    assert code_and_message(caught) == (
        "ValidationError",
        f"Endpoint {name} of account 123456789012 not found.",
    )
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName=name)
    held.let_go()
    settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    sagemaker.delete_endpoint(EndpointName=name)


def test_an_update_under_load_fails_no_call_and_gives_two_answers(
    endpoint, sagemaker, local_aws, other_model
):
    answers: list[bytes] = []
    failures: list[Exception] = []
    done = threading.Event()

    def call() -> None:
        mine = make_client(local_aws, "sagemaker-runtime")
        while not done.is_set():
            try:
                answers.append(ask(mine, endpoint)["Body"].read())
            except ClientError as error:
                failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    wait_until(lambda: len(answers) > 20)
    make_config(sagemaker, f"{endpoint}-new", other_model)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=f"{endpoint}-new")
    assert sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Updating"
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=endpoint)
    seen = len(answers)
    wait_until(lambda: len(answers) > seen + 20)
    done.set()
    for caller in callers:
        caller.join()
    assert failures == []
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointConfigName"] == f"{endpoint}-new"
    assert "FailureReason" not in found
    assert len(set(answers)) == 2
    assert answers[0] != answers[-1]


def test_a_broken_new_model_leaves_the_old_one_in_service(
    endpoint, sagemaker, runtime, broken_model, other_model
):
    before = ask(runtime, endpoint)["Body"].read()
    make_config(sagemaker, f"{endpoint}-broken", broken_model)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=f"{endpoint}-broken")
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=endpoint)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", endpoint)
    assert "Failed to extract model data" in found["FailureReason"]
    assert ask(runtime, endpoint)["Body"].read() == before
    make_config(sagemaker, f"{endpoint}-good", other_model)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=f"{endpoint}-good")
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=endpoint)
    assert "FailureReason" not in found
    assert found["EndpointConfigName"] == f"{endpoint}-good"


def test_a_model_that_never_answers_ping_fails_the_endpoint(sagemaker, s3, bucket, client, runtime, name):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("xgboost-model")
        member.size = 7
        tar.addfile(member, io.BytesIO(b"no tree"))
    s3.put_object(Bucket=bucket, Key=f"{name}/model.tar.gz", Body=archive.getvalue())
    make_config(sagemaker, name, make_model(sagemaker, name, f"s3://{bucket}/{name}/model.tar.gz"))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "Failed"
    assert "AllTraffic did not pass the ping health check" in found["FailureReason"]
    assert any(
        "ERROR" in line for line in log_lines(client("logs"), f"/aws/sagemaker/Endpoints/{name}", "All")
    )
    with pytest.raises(ClientError, match="not found"):
        ask(runtime, name)
    sagemaker.delete_endpoint(EndpointName=name)


def test_an_archive_that_leads_out_of_its_directory_is_refused(sagemaker, s3, bucket, name, tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../../../escaped"), io.BytesIO())
    s3.put_object(Bucket=bucket, Key=f"{name}/model.tar.gz", Body=archive.getvalue())
    make_config(sagemaker, name, make_model(sagemaker, name, f"s3://{bucket}/{name}/model.tar.gz"))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "Failed"
    assert "leads out of its directory" in found["FailureReason"]


def test_a_missing_artifact_fails_the_endpoint_naming_it(sagemaker, bucket, name):
    make_config(sagemaker, name, make_model(sagemaker, name, f"s3://{bucket}/{name}/nothing.tar.gz"))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "Failed"
    assert f"s3://{bucket}/{name}/nothing.tar.gz" in found["FailureReason"]


def test_an_error_of_the_model_is_a_model_error_with_its_status(steady, runtime):
    with pytest.raises(ClientError) as caught:
        ask(runtime, steady, b"1,2")
    response = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 400
    assert "feature size of trained model 3" in response["OriginalMessage"]
    assert response["Error"]["Message"].startswith('Received client error (400) from primary with message "')


def test_the_largest_payload_is_sent_and_a_byte_more_is_refused(steady, runtime):
    largest = (ROW + b"\n") * (6_291_456 // (len(ROW) + 1))
    largest += b"\n" * (6_291_456 - len(largest))
    assert len(ask(runtime, steady, largest)["Body"].read().splitlines()) == largest.count(ROW)
    with pytest.raises(ClientError) as caught:
        ask(runtime, steady, largest + b"\n")
    assert code_and_message(caught) == ("413", "HTTP content length exceeded 6291456 bytes.")


def test_a_serverless_variant_has_the_smaller_limit(sagemaker, runtime, model, name):
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert ask(runtime, name)["Body"].read()
    with pytest.raises(ClientError, match="exceeded 4194304 bytes"):
        ask(runtime, name, b"\n" * 4_194_305)
    sagemaker.delete_endpoint(EndpointName=name)


def test_a_deleted_endpoint_is_gone_and_its_name_is_free(sagemaker, runtime, model, name):
    make_config(sagemaker, name, model)
    for _ in range(2):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
        sagemaker.delete_endpoint(EndpointName=name)
        with pytest.raises(ClientError, match=f'Could not find endpoint ".*endpoint/{name}"'):
            sagemaker.describe_endpoint(EndpointName=name)
        with pytest.raises(ClientError, match="not found"):
            ask(runtime, name)


def test_names_are_unique_and_what_is_named_must_exist(steady, sagemaker, model, name):
    with pytest.raises(ClientError, match='Cannot create already existing endpoint "'):
        sagemaker.create_endpoint(EndpointName=steady, EndpointConfigName=steady)
    with pytest.raises(ClientError, match='Cannot create already existing endpoint configuration "'):
        make_config(sagemaker, steady, model)
    with pytest.raises(ClientError, match='Cannot create already existing model "'):
        make_model(sagemaker, model, "s3://b/k.tar.gz")
    with pytest.raises(ClientError, match='Could not find endpoint configuration "'):
        sagemaker.update_endpoint(EndpointName=steady, EndpointConfigName=f"{name}-nothing")
    with pytest.raises(ClientError, match='Could not find endpoint "'):
        sagemaker.update_endpoint(EndpointName=f"{name}-nothing", EndpointConfigName=steady)
    with pytest.raises(ClientError, match='Could not find model "'):
        make_config(sagemaker, f"{name}-new", f"{name}-nothing")
    with pytest.raises(ClientError, match='Could not find model "'):
        sagemaker.delete_model(ModelName=f"{name}-nothing")


def test_a_configuration_and_a_model_can_be_deleted_under_a_running_endpoint(
    sagemaker, runtime, trained, name
):
    make_config(sagemaker, name, make_model(sagemaker, name, trained["ModelArtifacts"]["S3ModelArtifacts"]))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)
    assert ask(runtime, name)["Body"].read()
    sagemaker.delete_endpoint(EndpointName=name)


def test_two_variants_share_the_calls_and_can_be_named(sagemaker, runtime, model, other_model, name):
    variants = [
        {"VariantName": one, "ModelName": made, "InstanceType": "ml.t2.medium", "InitialInstanceCount": 1}
        for one, made in (("old", model), ("new", other_model))
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    named = {one: ask(runtime, name, TargetVariant=one) for one in ("old", "new")}
    assert {one: answer["InvokedProductionVariant"] for one, answer in named.items()} == {
        "old": "old",
        "new": "new",
    }
    assert named["old"]["Body"].read() != named["new"]["Body"].read()
    seen = {ask(runtime, name)["InvokedProductionVariant"] for _ in range(60)}
    assert seen == {"old", "new"}
    sagemaker.delete_endpoint(EndpointName=name)


def test_nobody_can_take_the_port_of_a_container_that_has_yet_to_read_its_model():
    with _bound_socket() as bound, socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(bound.getsockname())


def test_a_registered_package_can_be_served_once_it_is_approved(sagemaker, runtime, trained, name):
    artifact = trained["ModelArtifacts"]["S3ModelArtifacts"]
    image = trained["AlgorithmSpecification"]["TrainingImage"]
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    package = sagemaker.create_model_package(
        ModelPackageGroupName=name,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": artifact}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    role = trained["RoleArn"]
    container = {"ModelPackageName": package}
    with pytest.raises(ClientError, match="must be Approved"):
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    shown = sagemaker.describe_model(ModelName=name)["PrimaryContainer"]
    assert (shown["ModelPackageName"], shown["ModelDataUrl"]) == (package, artifact)
    make_config(sagemaker, name, name)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert ask(runtime, name)["Body"].read()
    sagemaker.delete_endpoint(EndpointName=name)


def test_an_image_without_a_stand_in_fails_the_endpoint(sagemaker, bucket, name):
    image = LINEAR_LEARNER.replace("linear-learner", "own-server")
    make_config(sagemaker, name, make_model(sagemaker, name, f"s3://{bucket}/x.tar.gz", image))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "Failed"
    assert "own-server" in found["FailureReason"]
    assert "local_aws/algorithms/registry.py" in found["FailureReason"]

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from local_aws_support import XGBOOST, wait_until

SERVED = {
    "Containers": [{"Image": XGBOOST, "ModelDataUrl": "s3://b/model.tar.gz"}],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["text/csv"],
}
METRICS = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json"}}}


@pytest.fixture
def group(sagemaker: Any, name: str) -> str:
    sagemaker.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="counts")
    return name


def register(sagemaker: Any, group: str, **changes: Any) -> str:
    request = {"ModelPackageGroupName": group, "InferenceSpecification": SERVED} | changes
    return str(sagemaker.create_model_package(**request)["ModelPackageArn"])


def test_a_group_is_made_once(sagemaker, group):
    with pytest.raises(ClientError, match="Model Package Group already exists") as caught:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    found = sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert found["ModelPackageGroupDescription"] == "counts"
    assert found["ModelPackageGroupStatus"] == "Completed"


def test_versions_count_up_and_keep_what_they_were_given(sagemaker, group):
    given = {
        "ModelMetrics": METRICS,
        "CustomerMetadataProperties": {"rows": "100"},
        "MetadataProperties": {"GeneratedBy": "retrain_weekly"},
        "ModelApprovalStatus": "PendingManualApproval",
        "ModelPackageDescription": "first",
    }
    first, second = register(sagemaker, group, **given), register(sagemaker, group)
    assert first.endswith(f":model-package/{group}/1")
    assert second.endswith(f":model-package/{group}/2")
    found = sagemaker.describe_model_package(ModelPackageName=first)
    assert {key: found[key] for key in given} == given
    assert (found["ModelPackageVersion"], found["ModelPackageStatus"]) == (1, "Completed")
    assert found["InferenceSpecification"] == SERVED


def test_a_request_repeated_with_its_token_registers_once(sagemaker, group):
    token = uuid4().hex
    arns = {register(sagemaker, group, ClientToken=token) for _ in range(3)}
    assert len(arns) == 1
    assert register(sagemaker, group, ClientToken=uuid4().hex) not in arns
    assert len(sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]) == 2


def test_a_deleted_versions_number_is_not_given_again(sagemaker, group):
    sagemaker.delete_model_package(ModelPackageName=register(sagemaker, group))
    assert register(sagemaker, group).endswith("/2")


def test_approval_and_metadata_can_be_changed(sagemaker, group):
    arn = register(sagemaker, group, CustomerMetadataProperties={"a": "1", "b": "2"})
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="gate passed",
        CustomerMetadataProperties={"c": "3"},
        CustomerMetadataPropertiesToRemove=["a"],
    )
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Approved", "gate passed")
    assert found["CustomerMetadataProperties"] == {"b": "2", "c": "3"}
    assert found["LastModifiedTime"] >= found["CreationTime"]


def test_the_latest_approved_version_can_be_asked_for(sagemaker, group):
    for status in ("Approved", "Approved", "Rejected"):
        register(sagemaker, group, ModelApprovalStatus=status)
    answer = sagemaker.list_model_packages(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )
    assert [one["ModelPackageVersion"] for one in answer["ModelPackageSummaryList"]] == [2]
    assert "NextToken" in answer


def test_several_versions_can_be_described_at_once(sagemaker, group):
    arn = register(sagemaker, group)
    answer = sagemaker.batch_describe_model_package(ModelPackageArnList=[arn, f"{arn}9"])
    assert answer["ModelPackageSummaries"][arn]["ModelPackageVersion"] == 1
    assert list(answer["BatchDescribeModelPackageErrorMap"]) == [f"{arn}9"]


def test_a_group_that_holds_versions_is_not_deleted(sagemaker, group):
    arn = register(sagemaker, group)
    with pytest.raises(ClientError, match="still contains model packages") as caught:
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match=r"ModelPackageGroup .* does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_what_is_not_registered_does_not_exist(sagemaker, group):
    arn = register(sagemaker, group)
    with pytest.raises(ClientError, match=f"ModelPackage {arn}7 does not exist"):
        sagemaker.describe_model_package(ModelPackageName=f"{arn}7")
    with pytest.raises(ClientError, match=r"ModelPackageGroup .* does not exist"):
        register(sagemaker, f"{group}-other")


def test_an_approval_is_told_to_eventbridge(client, sagemaker, group):
    sqs, events = client("sqs"), client("events")
    queue = sqs.create_queue(QueueName=group)["QueueUrl"]
    pattern = {"source": ["aws.sagemaker"], "detail": {"ModelPackageGroupName": [group]}}
    events.put_rule(Name=group, EventPattern=json.dumps(pattern))
    events.put_targets(
        Rule=group, Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{group}"}]
    )
    arn = register(sagemaker, group, ModelApprovalStatus="PendingManualApproval")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    told: list[str] = []

    def both() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail-type"] == "SageMaker Model Package State Change"
            assert event["resources"] == [arn]
            told.append(event["detail"]["ModelApprovalStatus"])
        return len(told) == 2

    wait_until(both)
    assert sorted(told) == ["Approved", "PendingManualApproval"]

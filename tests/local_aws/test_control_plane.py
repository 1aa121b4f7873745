from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_aws_support import ROLE, XGBOOST, channel, make_client, make_config, training_request

from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.listing import list_records
from local_aws.sagemaker.validation import check_request


def raw(url: str, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Send a request past botocore's own checks."""
    headers = {
        "X-Amz-Target": f"SageMaker.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sagemaker/aws4_request",
    }
    try:
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - the server under test
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the server under test
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def broken(change: dict[str, Any]) -> str:
    with pytest.raises(AwsError) as caught:
        check_request(
            "CreateTrainingJob", training_request("job", "bucket", [channel("train", "s3://b/k")]) | change
        )
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_a_good_request_is_let_through():
    check_request("CreateTrainingJob", training_request("job", "bucket", [channel("train", "s3://b/k")]))


def test_a_name_out_of_its_pattern_is_refused_in_the_clouds_words():
    assert broken({"TrainingJobName": "bad_name!"}) == (
        "1 validation error detected: Value 'bad_name!' at 'trainingJobName' failed to satisfy constraint:"
        " Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )


def test_a_name_too_long_an_unknown_instance_and_a_small_number_are_refused():
    assert "length less than or equal to 63" in broken({"TrainingJobName": "a" * 64})
    resources = {"InstanceType": "ml.nope", "InstanceCount": 1, "VolumeSizeInGB": 1}
    assert "Value 'ml.nope' at 'resourceConfig.instanceType' failed" in broken({"ResourceConfig": resources})
    assert "Member must satisfy enum value set: [" in broken({"ResourceConfig": resources})
    limit = {"MaxRuntimeInSeconds": 0}
    message = broken({"StoppingCondition": limit})
    assert "'stoppingCondition.maxRuntimeInSeconds'" in message
    assert "value greater than or equal to 1" in message


def test_a_role_that_is_no_role_is_refused():
    assert "Value 'nobody-in-particular' at 'roleArn'" in broken({"RoleArn": "nobody-in-particular"})


def test_every_broken_constraint_is_named():
    message = broken({"TrainingJobName": "bad_name!", "RoleArn": "nobody-in-particular"})
    assert message.startswith("2 validation errors detected: ")


def test_a_missing_field_is_refused(local_aws):
    status, body = raw(local_aws, "CreateModel", b"{}")
    assert status == 400
    assert body["__type"] == "ValidationException"
    assert (
        "Value null at 'modelName' failed to satisfy constraint: Member must not be null" in body["message"]
    )


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"TrainingJobName": 3}', b'{"Nonsense": 1}'])
def test_what_cannot_be_read_is_a_serialization_error(local_aws, body):
    status, answer = raw(local_aws, "DescribeTrainingJob", body)
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_an_operation_that_is_not_there_says_so(local_aws, sagemaker):
    assert raw(local_aws, "NoSuchThing", b"{}")[1]["__type"] == "UnknownOperationException"
    with pytest.raises(ClientError, match="The embedded AWS has no CreateHyperParameterTuningJob"):
        sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName="x",
            HyperParameterTuningJobConfig={
                "Strategy": "Random",
                "ResourceLimits": {"MaxParallelTrainingJobs": 1},
            },
        )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=80))
def test_any_name_is_judged_as_botocores_pattern_judges_it(text):
    import re

    allowed = re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", text) is not None and len(text) <= 63
    try:
        check_request("DescribeTrainingJob", {"TrainingJobName": text})
    except AwsError:
        assert not allowed
    else:
        assert allowed


def test_every_answering_operation_is_one_of_botocores():
    from local_aws.sagemaker.service import OPERATIONS

    known = set(botocore.session.get_session().get_service_model("sagemaker").operation_names)
    assert len(OPERATIONS) >= 35
    assert set(OPERATIONS) <= known


@pytest.fixture(scope="module")
def listed(local_aws: str) -> tuple[Any, list[str]]:
    """Models of their own, made one after another, out of the order of their names."""
    sagemaker = make_client(local_aws, "sagemaker")
    names = [f"listed-{letter}" for letter in "cadbe"]
    for name in names:
        container = {"Image": XGBOOST}
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    return sagemaker, names


def models(sagemaker: Any, **request: Any) -> list[str]:
    found = sagemaker.list_models(NameContains="listed-", **request)["Models"]
    return [one["ModelName"] for one in found]


def test_a_list_is_sorted_as_asked(listed):
    sagemaker, names = listed
    assert models(sagemaker) == names[::-1]
    assert models(sagemaker, SortOrder="Ascending") == names
    assert models(sagemaker, SortBy="Name", SortOrder="Ascending") == sorted(names)


def test_pages_hold_everything_once(listed):
    sagemaker, names = listed
    pages = sagemaker.get_paginator("list_models").paginate(
        NameContains="listed-", PaginationConfig={"PageSize": 2}
    )
    sizes, found = [], []
    for page in pages:
        sizes.append(len(page["Models"]))
        found += [one["ModelName"] for one in page["Models"]]
    assert sizes == [2, 2, 1]
    assert sorted(found) == sorted(names)
    with pytest.raises(ClientError, match="Invalid pagination token"):
        sagemaker.list_models(NextToken="nonsense")


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"CreationTimeAfter": 2}, "cb"),
        ({"CreationTimeBefore": 2}, "ba"),
        ({"CreationTimeAfter": 2, "CreationTimeBefore": 2}, "b"),
        ({"LastModifiedTimeAfter": 13}, "c"),
        ({"LastModifiedTimeBefore": 12}, "a"),
        ({"NameContains": "B"}, "b"),
        ({"StatusEquals": "Failed"}, "a"),
        ({"SortBy": "Status"}, "acb"),
        ({"MaxResults": 2}, "cb"),
    ],
)
def test_a_list_is_filtered_as_asked(request_, names):
    records = [
        {
            "EndpointName": name,
            "EndpointStatus": status,
            "CreationTime": number,
            "LastModifiedTime": 10 + number + 0.5,
        }
        for number, (name, status) in enumerate([("a", "Failed"), ("b", "Creating"), ("c", "Creating")], 1)
    ]
    fields = {"name": "EndpointName", "status": "EndpointStatus"}
    found = list_records("ListEndpoints", records, request_, **fields)["Endpoints"]
    assert [one["EndpointName"] for one in found] == list(names)


def test_a_list_can_be_bounded_in_time(listed):
    sagemaker, names = listed
    now = datetime.now(UTC)
    assert len(models(sagemaker, CreationTimeAfter=now - timedelta(days=1))) == len(names)
    assert models(sagemaker, CreationTimeAfter=now + timedelta(days=1)) == []
    assert models(sagemaker, CreationTimeBefore=now - timedelta(days=1)) == []
    assert models(sagemaker, CreationTimeBefore=now + timedelta(days=1)) == names[::-1]


def test_configurations_are_listed_by_name_and_time_in_pages(sagemaker, model, name):
    made = [f"{name}-{number}" for number in range(5)]
    for config in made:
        make_config(sagemaker, config, model)
    now = datetime.now(UTC)

    def listed(**request: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_endpoint_configs").paginate(
            NameContains=name, PaginationConfig={"PageSize": 2}, **request
        )
        return [one["EndpointConfigName"] for page in pages for one in page["EndpointConfigs"]]

    assert listed(CreationTimeBefore=now + timedelta(days=1)) == made[::-1]
    assert listed(CreationTimeBefore=now - timedelta(days=1)) == []


def test_jobs_are_listed_by_status(sagemaker, trained):
    name = trained["TrainingJobName"]
    newest_first = {"SortBy": "CreationTime", "SortOrder": "Descending"}
    found = sagemaker.list_training_jobs(NameContains=name, StatusEquals="Completed", **newest_first)[
        "TrainingJobSummaries"
    ]
    assert [one["TrainingJobName"] for one in found] == [name]
    assert found[0]["TrainingEndTime"] == trained["TrainingEndTime"]
    assert not sagemaker.list_training_jobs(NameContains=name, StatusEquals="Failed")["TrainingJobSummaries"]


@pytest.mark.parametrize(
    ("operation", "key"),
    [
        ("list_processing_jobs", "ProcessingJobSummaries"),
        ("list_transform_jobs", "TransformJobSummaries"),
        ("list_endpoints", "Endpoints"),
        ("list_endpoint_configs", "EndpointConfigs"),
        ("list_model_package_groups", "ModelPackageGroupSummaryList"),
        ("list_model_packages", "ModelPackageSummaryList"),
    ],
)
def test_every_kind_can_be_listed_with_filters(sagemaker, operation, key):
    answer = getattr(sagemaker, operation)(
        NameContains="there-is-none-of-this", SortBy="Name", SortOrder="Ascending", MaxResults=5
    )
    assert answer[key] == []


def test_tags_are_added_changed_listed_and_removed(sagemaker, name):
    arn = sagemaker.create_model_package_group(
        ModelPackageGroupName=name, Tags=[{"Key": "team", "Value": "a"}, {"Key": "tier", "Value": "1"}]
    )["ModelPackageGroupArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "run", "Value": "x"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["tier"])
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    assert tags == {"team": "b", "run": "x"}


def test_tags_of_nothing_are_refused(sagemaker):
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model/there-is-none"
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.list_tags(ResourceArn=arn)


def test_regions_do_not_see_each_other(local_aws, sagemaker, name):
    import boto3

    elsewhere = boto3.client(
        "sagemaker",
        endpoint_url=local_aws,
        region_name="eu-central-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    assert not elsewhere.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]
    arn = elsewhere.create_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]
    assert ":eu-central-1:" in arn

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws_support import make_client


@pytest.fixture(autouse=True)
def no_faults_left(local_aws: str) -> Iterator[None]:
    yield
    manage(local_aws, "DELETE")


def manage(url: str, method: str, fault: Any = None) -> Any:
    body = json.dumps(fault).encode() if fault is not None else None
    request = urllib.request.Request(f"{url}/_faults", body, method=method)  # noqa: S310 - our server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our server
        return json.load(answer)


def throttle(url: str, service: str, operation: str, **changes: Any) -> None:
    fault = {"service": service, "operation": operation, "error": "ThrottlingException"}
    manage(url, "POST", fault | {"message": "Rate exceeded", "status": 400, "times": 1} | changes)


def code(caught: Any) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_a_fault_comes_as_often_as_asked_and_only_for_its_operation(local_aws, sagemaker):
    throttle(local_aws, "sagemaker", "ListModels", times=2)
    assert manage(local_aws, "GET")[0]["times"] == 2
    sagemaker.list_endpoints()
    for _ in range(2):
        with pytest.raises(ClientError, match="Rate exceeded") as caught:
            sagemaker.list_models()
        assert code(caught) == "ThrottlingException"
    assert manage(local_aws, "GET") == []
    sagemaker.list_models()


def test_a_client_that_retries_gets_over_it(local_aws):
    throttle(local_aws, "sagemaker", "ListModels", times=2)
    make_client(local_aws, "sagemaker", retries={"total_max_attempts": 3}).list_models()
    assert manage(local_aws, "GET") == []


@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("sns", "ListTopics", lambda client: client.list_topics()),
        ("sns", "Publish", lambda client: client.publish(TopicArn="arn:aws:sns:us-east-1:1:t", Message="m")),
        ("sqs", "ListQueues", lambda client: client.list_queues()),
        ("events", "ListRules", lambda client: client.list_rules()),
        ("logs", "DescribeLogGroups", lambda client: client.describe_log_groups()),
        ("cloudformation", "DescribeStacks", lambda client: client.describe_stacks()),
        ("s3", "GetObject", lambda client: client.get_object(Bucket="bucket", Key="k")),
        ("s3", "PutObject", lambda client: client.put_object(Bucket="bucket", Key="k", Body=b"")),
        ("s3", "CreateBucket", lambda client: client.create_bucket(Bucket="bucket")),
        ("s3", "ListObjectsV2", lambda client: client.list_objects_v2(Bucket="bucket")),
    ],
)
def test_every_service_can_be_made_to_fail(local_aws, client, service, operation, call):
    throttle(local_aws, service, operation, error="InternalFailure", status=500)
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        call(client(service))
    assert code(caught) == "InternalFailure"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_an_invocation_can_be_made_to_fail(local_aws, client):
    throttle(local_aws, "sagemaker", "InvokeEndpoint", error="ServiceUnavailable", status=503)
    with pytest.raises(ClientError) as caught:
        client("sagemaker-runtime").invoke_endpoint(EndpointName="any", Body=b"1")
    assert code(caught) == "ServiceUnavailable"


def test_what_is_no_fault_is_refused(local_aws):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        manage(local_aws, "POST", {"operation": "ListModels"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        manage(local_aws, "POST", [])


def test_health_is_told(local_aws):
    with urllib.request.urlopen(f"{local_aws}/_health", timeout=10) as answer:  # noqa: S310 - our server
        health = json.load(answer)
    assert health["status"] == "ok"
    assert b"local_aws" in Path(f"/proc/{health['pid']}/cmdline").read_bytes()

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: its faults are nobody else's."""
    with running(tmp_path_factory.mktemp("faults") / "state") as started:
        yield started


@pytest.fixture(autouse=True)
def no_faults_left(server: Server) -> Iterator[None]:
    yield
    manage(server, "DELETE")


def manage(server: Server, method: str, fault: Any = None) -> Any:
    body = json.dumps(fault).encode() if fault is not None else None
    request = urllib.request.Request(f"{server.url}/_faults", body, method=method)  # noqa: S310 - our server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our server
        return json.load(answer)


def throttle(server: Server, service: str, operation: str, **changes: Any) -> None:
    fault = {"service": service, "operation": operation, "error": "ThrottlingException"}
    manage(server, "POST", fault | {"message": "Rate exceeded", "status": 400, "times": 1} | changes)


def code(caught: Any) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_a_fault_comes_as_often_as_asked_and_only_for_its_operation(server):
    sagemaker = server.client("sagemaker")
    throttle(server, "sagemaker", "ListModels", times=2)
    assert manage(server, "GET")[0]["times"] == 2
    sagemaker.list_endpoints()
    for _ in range(2):
        with pytest.raises(ClientError, match="Rate exceeded") as caught:
            sagemaker.list_models()
        assert code(caught) == "ThrottlingException"
    assert manage(server, "GET") == []
    sagemaker.list_models()


def test_a_client_that_retries_gets_over_it(server):
    throttle(server, "sagemaker", "ListModels", times=2)
    server.client("sagemaker", retries={"total_max_attempts": 3}).list_models()
    assert manage(server, "GET") == []


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
def test_every_service_can_be_made_to_fail(server, service, operation, call):
    throttle(server, service, operation, error="InternalFailure", status=500)
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        call(server.client(service))
    assert code(caught) == "InternalFailure"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_an_invocation_can_be_made_to_fail(server):
    throttle(server, "sagemaker", "InvokeEndpoint", error="ServiceUnavailable", status=503)
    with pytest.raises(ClientError) as caught:
        server.client("sagemaker-runtime").invoke_endpoint(EndpointName="any", Body=b"1")
    assert code(caught) == "ServiceUnavailable"


def test_what_is_no_fault_is_refused(server):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        manage(server, "POST", {"operation": "ListModels"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        manage(server, "POST", [])


def test_health_is_told(server):
    with urllib.request.urlopen(f"{server.url}/_health", timeout=10) as answer:  # noqa: S310 - our server
        assert json.load(answer) == {"status": "ok", "pid": server.process.pid}
    assert Path(f"/proc/{server.process.pid}").exists()

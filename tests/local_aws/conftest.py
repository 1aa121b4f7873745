"""The server under test and what it holds from the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from local_aws_support import (
    artifact,
    csv_bytes,
    make_client,
    make_config,
    make_model,
    running,
    settled,
    table,
    train,
)


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("local_aws") / "state", "--in-memory") as server:
        yield server.url


@pytest.fixture(scope="session")
def client(local_aws: str) -> Callable[[str], Any]:
    return cache(lambda service: make_client(local_aws, service))


@pytest.fixture(scope="session")
def sagemaker(client: Callable[[str], Any]) -> Any:
    return client("sagemaker")


@pytest.fixture(scope="session")
def s3(client: Callable[[str], Any]) -> Any:
    return client("s3")


@pytest.fixture(scope="session")
def bucket(s3: Any) -> str:
    name = f"b-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def name() -> str:
    return f"t-{uuid4().hex[:16]}"


@pytest.fixture(scope="session")
def data(s3: Any, bucket: str) -> str:
    """A prefix with the channels train and validation."""
    s3.put_object(Bucket=bucket, Key="data/train/part-0.csv", Body=csv_bytes(table(800, 1)))
    s3.put_object(Bucket=bucket, Key="data/train/part-1.csv", Body=csv_bytes(table(800, 2)))
    s3.put_object(Bucket=bucket, Key="data/validation/part-0.csv", Body=csv_bytes(table(400, 3)))
    return f"s3://{bucket}/data"


@pytest.fixture(scope="session")
def trained(sagemaker: Any, bucket: str, data: str) -> Any:
    job = train(sagemaker, bucket, data, f"trained-{uuid4().hex[:8]}")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return job


@pytest.fixture(scope="session")
def other_trained(sagemaker: Any, bucket: str, data: str) -> Any:
    """A model of three rounds, whose answers differ."""
    parameters = {"num_round": "3", "objective": "reg:squarederror"}
    return train(sagemaker, bucket, data, f"other-{uuid4().hex[:8]}", HyperParameters=parameters)


@pytest.fixture(scope="session")
def model(sagemaker: Any, trained: Any) -> str:
    return make_model(sagemaker, f"model-{uuid4().hex[:8]}", artifact(trained))


@pytest.fixture(scope="session")
def other_model(sagemaker: Any, other_trained: Any) -> str:
    return make_model(sagemaker, f"model-{uuid4().hex[:8]}", artifact(other_trained))


@pytest.fixture(scope="session")
def broken_model(sagemaker: Any, s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="broken/model.tar.gz", Body=b"this is no archive")
    return make_model(sagemaker, f"broken-{uuid4().hex[:8]}", f"s3://{bucket}/broken/model.tar.gz")


@pytest.fixture
def endpoint(sagemaker: Any, model: str, name: str) -> Iterator[str]:
    make_config(sagemaker, name, model)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "InService", found.get("FailureReason")
    yield name
    if any(one["EndpointName"] == name for one in sagemaker.list_endpoints(NameContains=name)["Endpoints"]):
        settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
        sagemaker.delete_endpoint(EndpointName=name)

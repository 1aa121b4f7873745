"""The server under test, clients of it, and what most tests need of it."""

from __future__ import annotations

import io
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import numpy as np
import pytest
from botocore.config import Config

PROJECT = Path(__file__).resolve().parents[2]
LIMIT_S = 60
ROLE = "arn:aws:iam::123456789012:role/sagemaker-execution"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
LINEAR_LEARNER = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


class Server:
    """A server of our own, to be stopped and started at will."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.log = state_dir.parent / f"{state_dir.name}.log"
        command = [sys.executable, "-m", "local_aws", "serve", "--port", "0", "--state-dir", str(state_dir)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], LIMIT_S)
        assert ready, "the server said nothing"
        self.line = self.process.stdout.readline()
        assert self.line.startswith("local_aws ready http://127.0.0.1:"), self.log.read_text()
        self.url = self.line.split()[-1]

    def client(self, service: str, **config: Any) -> Any:
        return make_client(self.url, service, **config)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=LIMIT_S)


def make_client(url: str, service: str, **config: Any) -> Any:
    options = Config(**{"retries": {"max_attempts": 0}, "max_pool_connections": 20, **config})
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=options,
    )


@contextmanager
def running(state_dir: Path) -> Iterator[Server]:
    server = Server(state_dir)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("local_aws") / "state") as server:
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


def wait_until(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    deadline = time.monotonic() + limit_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return answer


def settled(describe: Callable[..., Any], field: str, **names: str) -> Any:
    """Describe until the status is none of those that pass."""
    passing = ("InProgress", "Stopping", "Creating", "Updating", "SystemUpdating")
    return wait_until(lambda: (answer := describe(**names))[field] not in passing and answer)


def csv_bytes(rows: Any) -> bytes:
    text = io.StringIO()
    np.savetxt(text, np.atleast_2d(rows), delimiter=",", fmt="%.6g")
    return text.getvalue().encode()


def table(rows: int, seed: int = 0) -> Any:
    """Label first: y = 10 + 3a - 2b + c*c, with a little noise."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3))
    label = 10 + 3 * features[:, 0] - 2 * features[:, 1] + features[:, 2] ** 2
    return np.column_stack([label + random.normal(scale=0.05, size=rows), features])


def channel(name: str, uri: str, content_type: str = "text/csv") -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "ContentType": content_type, "DataSource": {"S3DataSource": source}}


def training_request(
    name: str, bucket: str, channels: list[dict[str, Any]], **changes: Any
) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": channels,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 120},
        "HyperParameters": {"num_round": "20", "objective": "reg:squarederror"},
    } | changes


@pytest.fixture(scope="session")
def data(s3: Any, bucket: str) -> str:
    """A prefix with the channels train and validation."""
    s3.put_object(Bucket=bucket, Key="data/train/part-0.csv", Body=csv_bytes(table(800, 1)))
    s3.put_object(Bucket=bucket, Key="data/train/part-1.csv", Body=csv_bytes(table(800, 2)))
    s3.put_object(Bucket=bucket, Key="data/validation/part-0.csv", Body=csv_bytes(table(400, 3)))
    return f"s3://{bucket}/data"


def train(sagemaker: Any, bucket: str, data: str, name: str, **changes: Any) -> Any:
    channels = [channel(part, f"{data}/{part}/") for part in ("train", "validation")]
    sagemaker.create_training_job(**training_request(name, bucket, channels, **changes))
    return settled(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)


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


def make_model(sagemaker: Any, name: str, artifact: str, image: str = XGBOOST) -> str:
    container = {"Image": image, "ModelDataUrl": artifact}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    return name


def make_config(sagemaker: Any, name: str, model: str, **changes: Any) -> str:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.t2.medium",
        "InitialInstanceCount": 1,
    } | changes
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return name


def artifact(job: Any) -> str:
    return str(job["ModelArtifacts"]["S3ModelArtifacts"])


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


def log_lines(logs: Any, group: str, prefix: str) -> list[str]:
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    assert streams, f"no stream {prefix} in {group}"
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"])["events"]
    return [event["message"] for event in events]

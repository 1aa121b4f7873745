"""A server of the tests' own, clients of it, and what most tests need of it."""

from __future__ import annotations

import io
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from botocore.config import Config

PROJECT = Path(__file__).resolve().parents[2]


LIMIT_S = 60


ROLE = "arn:aws:iam::123456789012:role/sagemaker-execution"


XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"


LINEAR_LEARNER = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"


SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


class Server:
    """A server of our own, to be stopped and started at will."""

    def __init__(self, state_dir: Path, *options: str) -> None:
        self.state_dir = state_dir
        self.log = state_dir.parent / f"{state_dir.name}.log"
        place = ["--port", "0", "--state-dir", str(state_dir)]
        command = [sys.executable, "-m", "local_aws", "serve", *place, *options]
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
    options = Config(
        **{"retries": {"max_attempts": 0}, "max_pool_connections": 20, "inject_host_prefix": False, **config}
    )
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=options,
    )


@contextmanager
def running(state_dir: Path, *options: str) -> Iterator[Server]:
    server = Server(state_dir, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def wait_until(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    deadline = time.monotonic() + limit_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return answer


def settled(describe: Callable[..., Any], field: str, **names: str) -> Any:
    """Describe until the status is none of those that pass."""
    passing = ("InProgress", "Stopping", "Creating", "Updating", "SystemUpdating", "RollingBack")
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


def train(sagemaker: Any, bucket: str, data: str, name: str, **changes: Any) -> Any:
    channels = [channel(part, f"{data}/{part}/") for part in ("train", "validation")]
    sagemaker.create_training_job(**training_request(name, bucket, channels, **changes))
    return settled(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)


def make_model(
    sagemaker: Any, name: str, artifact: str, image: str = XGBOOST, environment: dict[str, str] | None = None
) -> str:
    container = {"Image": image, "ModelDataUrl": artifact, "Environment": environment or {}}
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


def log_lines(logs: Any, group: str, prefix: str) -> list[str]:
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    assert streams, f"no stream {prefix} in {group}"
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"])["events"]
    return [event["message"] for event in events]

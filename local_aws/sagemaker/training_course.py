"""What a training job does, from its first download to its last upload."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from local_aws.algorithms.contract import CLIENT_ERROR_EXIT
from local_aws.algorithms.registry import StandIn, stand_in
from local_aws.clients import encryption, upload_file
from local_aws.files import pack_archive
from local_aws.sagemaker.containers import Container
from local_aws.sagemaker.errors import algorithm_error, client_error
from local_aws.sagemaker.inputs import fetch
from local_aws.sagemaker.jobs import Job, Stopped, enter
from local_aws.sagemaker.logs import LogStream
from local_aws.sagemaker.sandbox import ROOT_VARIABLE
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.validation import known_fields

_ENDINGS = {
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


def train(job: Job) -> None:
    """Download the channels, run the container, upload what it made."""
    record = job.record()
    image = stand_in(record["AlgorithmSpecification"]["TrainingImage"])
    _check_image(image, record)
    _announce(job)
    ml = job.directory / "opt/ml"
    _enter(job, "Downloading", "Downloading input data")
    _lay_out(job, record, ml)
    _enter(job, "Training", "Training image download completed. Training in progress.")
    job.change(TrainingStartTime=time.time())
    try:
        exit_code = _run(job, record, image, ml)
    except Stopped:
        _upload(job, record, ml)
        raise
    if exit_code:
        raise _failure(exit_code, ml)
    _upload(job, record, ml)


def end(job: Job, outcome: Record) -> None:
    """Write the job's last record."""
    status = outcome["TrainingJobStatus"]
    secondary = "MaxRuntimeExceeded" if outcome.get("_timed_out") else status
    message = outcome.get("FailureReason", _ENDINGS[secondary])

    def finish(record: Record) -> None:
        record |= outcome
        enter(record, secondary, message)
        record["SecondaryStatusTransitions"][-1]["EndTime"] = time.time()
        trained_s = record["TrainingEndTime"] - record.get("TrainingStartTime", record["TrainingEndTime"])
        record["TrainingTimeInSeconds"] = record["BillableTimeInSeconds"] = max(1, round(trained_s))

    job.store.rewrite(job.arn, finish)
    _announce(job)


def _check_image(image: StandIn, record: Record) -> None:
    image.train_command()
    if image.fixed_metrics and record["AlgorithmSpecification"].get("MetricDefinitions"):
        raise client_error(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the"
            " request without specifying metric definitions."
        )
    if record["ResourceConfig"].get("InstanceCount", 1) > 1:
        raise client_error("The embedded AWS trains on one instance")


def _lay_out(job: Job, record: Record, ml: Path) -> None:
    """Make the directories and files that the container contract promises."""
    for part in ("input/config", "input/data", "model", "output/data"):
        (ml / part).mkdir(parents=True)
    channels = record.get("InputDataConfig", [])
    for channel in channels:
        job.check_stop()
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise client_error(f"Channel {channel['ChannelName']} has no S3DataSource")
        fetch(job.clients.get("s3", job.region), source, ml / "input/data" / channel["ChannelName"])
    instance_type = record["ResourceConfig"].get("InstanceType", "")
    _write_config(ml, "hyperparameters", record.get("HyperParameters", {}))
    _write_config(ml, "inputdataconfig", {channel["ChannelName"]: _shown(channel) for channel in channels})
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
    _write_config(ml, "resourceconfig", hosts | {"current_instance_type": instance_type})


def _shown(channel: dict[str, Any]) -> dict[str, str]:
    """Say of a channel what the cloud tells the container of it."""
    if channel.get("InputMode") == "Pipe":
        raise client_error(
            f"The embedded AWS has no Pipe mode, asked for by channel {channel['ChannelName']}"
        )
    distribution = channel["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated")
    shown = {"TrainingInputMode": "File", "S3DistributionType": distribution, "RecordWrapperType": "None"}
    return shown | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def _write_config(ml: Path, name: str, content: Mapping[str, Any]) -> None:
    (ml / f"input/config/{name}.json").write_text(json.dumps(content))


def _run(job: Job, record: Record, image: StandIn, ml: Path) -> int:
    definitions = [
        *image.own_metrics,
        *(
            (one["Name"], one["Regex"])
            for one in record["AlgorithmSpecification"].get("MetricDefinitions", [])
        ),
    ]
    metrics = Metrics(definitions)
    environment = {
        **job.clients.environment(job.region),
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn,
        **record.get("Environment", {}),
        ROOT_VARIABLE: str(ml),
    }
    limit_s = record["StoppingCondition"]["MaxRuntimeInSeconds"]
    logs = job.clients.get("logs", job.region)
    with closing(LogStream(logs, job.kind.log_group, f"{job.name}/algo-1-{int(time.time())}")) as stream:

        def on_line(line: str) -> None:
            stream.line(line)
            metrics.read(line)

        start = partial(Container, image.train_command(), environment, ml, on_line, job.reaper)
        try:
            return job.finish(job.start(start), limit_s)
        finally:
            job.change(FinalMetricDataList=metrics.final())


def _failure(exit_code: int, ml: Path) -> Exception:
    failure = ml / "output/failure"
    reason = failure.read_text(errors="replace").strip() if failure.is_file() else ""
    blame = client_error if exit_code == CLIENT_ERROR_EXIT else algorithm_error
    return blame(f"{reason}, exit code: {exit_code}")


def _upload(job: Job, record: Record, ml: Path) -> None:
    _enter(job, "Uploading", "Uploading generated training model")
    output = record["OutputDataConfig"]
    base = f"{output['S3OutputPath'].rstrip('/')}/{job.name}/output"
    for directory, name in ((ml / "model", "model.tar.gz"), (ml / "output/data", "output.tar.gz")):
        if any(directory.iterdir()):
            archive = job.directory / name
            with archive.open("wb") as file:
                pack_archive(directory, file)
            upload_file(job.clients.get("s3", job.region), archive, f"{base}/{name}", encryption(output))
            if name == "model.tar.gz":
                job.change(ModelArtifacts={"S3ModelArtifacts": f"{base}/{name}"})


def _enter(job: Job, status: str, message: str) -> None:
    job.store.rewrite(job.arn, lambda record: enter(record, status, message))


def _announce(job: Job) -> None:
    detail = known_fields("DescribeTrainingJob", job.record())
    job.clients.emit(job.region, "SageMaker Training Job State Change", job.arn, detail)


class Metrics:
    """Finds metrics in log lines and keeps the last value of each."""

    def __init__(self, definitions: list[tuple[str, str]]) -> None:
        try:
            self._patterns = [(name, re.compile(pattern)) for name, pattern in definitions]
        except re.error as error:
            raise client_error(f"A metric definition is no regular expression: {error}") from error
        self._last: dict[str, dict[str, Any]] = {}

    def read(self, line: str) -> None:
        """Take what a line says."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if match:
                value = float(match.group(1))
                self._last[name] = {"MetricName": name, "Value": value, "Timestamp": time.time()}

    def final(self) -> list[dict[str, Any]]:
        """Give the last value of every metric that appeared."""
        return list(self._last.values())

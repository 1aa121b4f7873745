"""What a processing job does: inputs from S3, a script in its container, outputs to S3."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from local_aws.algorithms.registry import stand_in
from local_aws.clients import encryption, upload_directory
from local_aws.files import inside
from local_aws.sagemaker.containers import Container
from local_aws.sagemaker.errors import algorithm_error, client_error
from local_aws.sagemaker.inputs import fetch
from local_aws.sagemaker.jobs import Job
from local_aws.sagemaker.logs import LogStream
from local_aws.sagemaker.sandbox import ML_ROOT, sandboxed
from local_aws.sagemaker.store import Record

_EXIT_MESSAGE_LIMIT = 1024


def process(job: Job) -> None:
    """Fetch the inputs, run the script, upload the outputs."""
    record = job.record()
    _check(record)
    s3 = job.clients.get("s3", job.region)
    _lay_out(job, record, s3)
    job.change(ProcessingStartTime=time.time())
    exit_code = _run(job, record)
    _keep_exit_message(job)
    if exit_code:
        raise algorithm_error(f"See job logs for more information, exit code: {exit_code}")
    encrypted = encryption(record.get("ProcessingOutputConfig", {}))
    for output in _s3_outputs(record):
        upload_directory(s3, _local(job, output["LocalPath"]), output["S3Uri"], encrypted)


def end(job: Job, outcome: Record) -> None:
    """Write the job's last record."""
    job.change(**outcome)


def _check(record: Record) -> None:
    stand_in(record["AppSpecification"]["ImageUri"])
    if record["ProcessingResources"]["ClusterConfig"]["InstanceCount"] > 1:
        raise client_error("The embedded AWS processes on one instance")
    if not record["AppSpecification"].get("ContainerEntrypoint"):
        raise client_error("The embedded AWS needs a ContainerEntrypoint: its images have none of their own")


def _lay_out(job: Job, record: Record, s3: Any) -> None:
    for part in ("processing/input", "processing/output", "config", "output"):
        (job.directory / "opt/ml" / part).mkdir(parents=True, exist_ok=True)
    config = {key: record[key] for key in _SHOWN if key in record}
    (job.directory / "opt/ml/config/processingjobconfig.json").write_text(json.dumps(config))
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
    (job.directory / "opt/ml/config/resourceconfig.json").write_text(json.dumps(hosts))
    for input_ in record.get("ProcessingInputs", []):
        job.check_stop()
        source = input_.get("S3Input")
        if source is None or "LocalPath" not in source:
            raise client_error(f"Input {input_['InputName']} needs an S3Input with a LocalPath")
        fetch(s3, source, _local(job, source["LocalPath"]))
    for output in _s3_outputs(record):
        _local(job, output["LocalPath"]).mkdir(parents=True, exist_ok=True)


_SHOWN = [
    "ProcessingJobArn",
    "ProcessingJobName",
    "AppSpecification",
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "RoleArn",
    "StoppingCondition",
    "Environment",
]


def _run(job: Job, record: Record) -> int:
    application = record["AppSpecification"]
    command = [*application["ContainerEntrypoint"], *application.get("ContainerArguments", [])]
    environment = {
        **job.clients.environment(job.region),
        "PROCESSING_JOB_NAME": job.name,
        "PROCESSING_JOB_ARN": job.arn,
        **record.get("Environment", {}),
    }
    prepared = sandboxed(job.directory, command, environment)
    limit_s = record["StoppingCondition"]["MaxRuntimeInSeconds"]
    logs = job.clients.get("logs", job.region)
    with closing(LogStream(logs, job.kind.log_group, f"{job.name}/algo-1-{int(time.time())}")) as stream:
        start = partial(
            Container, prepared.command, prepared.environment, job.directory, stream.line, job.reaper
        )
        try:
            return job.finish(job.start(start), limit_s)
        except FileNotFoundError as error:
            raise client_error(f"The entrypoint {command[0]} was not found") from error


def _keep_exit_message(job: Job) -> None:
    message = job.directory / "opt/ml/output/message"
    if message.is_file():
        job.change(ExitMessage=message.read_text(errors="replace")[:_EXIT_MESSAGE_LIMIT])


def _s3_outputs(record: Record) -> list[Mapping[str, Any]]:
    """List the S3 outputs; a Continuous one is uploaded at the end too."""
    outputs = record.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return [output["S3Output"] for output in outputs if "S3Output" in output]


def _local(job: Job, path: str) -> Path:
    if not path.startswith(f"{ML_ROOT}/processing"):
        raise client_error(f"LocalPath {path} must start with {ML_ROOT}/processing")
    return inside(job.directory, path.lstrip("/"))

"""Training jobs: what the control plane knows of them. What they do is in training_course.py."""

from __future__ import annotations

import time
from typing import Any

from local_aws.sagemaker.calls import Call, operation
from local_aws.sagemaker.errors import in_use, invalid
from local_aws.sagemaker.jobs import TRAINING, enter
from local_aws.sagemaker.listing import list_records
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.training_course import end, train
from local_aws.sagemaker.validation import known_fields

_DEFAULT_RUNTIME_S = 86_400
_NOT_FOUND = "Requested resource not found."


@operation
def create_training_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Start a training job."""
    _check(request)
    arn, now = call.arn("training-job", request["TrainingJobName"]), time.time()
    record: Record = {
        **request,
        "TrainingJobArn": arn,
        "TrainingJobStatus": "InProgress",
        "CreationTime": now,
        "LastModifiedTime": now,
        "StoppingCondition": {"MaxRuntimeInSeconds": _DEFAULT_RUNTIME_S} | request["StoppingCondition"],
        "ModelArtifacts": {"S3ModelArtifacts": ""},
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
    }
    enter(record, "Starting", "Preparing the instances for training")
    taken = in_use(
        "Training job names must be unique within an AWS account and region, and a training job with this"
        f" name already exists ({arn})"
    )
    call.add(arn, record, request.get("Tags", []), taken)
    call.engine.run(TRAINING, arn, train, end)
    return {"TrainingJobArn": arn}


@operation
def describe_training_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a training job."""
    arn = call.arn("training-job", request["TrainingJobName"])
    return known_fields("DescribeTrainingJob", call.store.get(arn, invalid(_NOT_FOUND)))


@operation
def list_training_jobs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List training jobs."""
    records = call.store.under(call.arn("training-job"))
    names = {"name": "TrainingJobName", "status": "TrainingJobStatus"}
    return list_records("ListTrainingJobs", records, request, **names)


@operation
def stop_training_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Ask a training job to stop: it is Stopping until its container has ended."""
    arn = call.arn("training-job", request["TrainingJobName"])
    call.store.get(arn, invalid(_NOT_FOUND))
    call.store.rewrite(arn, _begin_stop)
    call.engine.stop(arn)
    return {}


def _begin_stop(record: Record) -> None:
    status = record["TrainingJobStatus"]
    if status not in ("InProgress", "Stopping"):
        raise invalid(f"The request was rejected because the training job is in status {status}.")
    if status == "InProgress":
        record["TrainingJobStatus"] = "Stopping"
        enter(record, "Stopping", "Stopping the training job")


def _check(request: dict[str, Any]) -> None:
    algorithm = request["AlgorithmSpecification"]
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid(
            "You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification."
        )
    if "TrainingImage" not in algorithm:
        raise invalid("The embedded AWS trains by TrainingImage; it has no algorithms by name.")
    for field in ("RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition"):
        if field not in request:
            raise invalid(f"{field} is required for a training job.")
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(channels)) < len(channels):
        raise invalid("Channel names must be unique within InputDataConfig.")

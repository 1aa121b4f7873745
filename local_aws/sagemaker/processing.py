"""Processing jobs: what the control plane knows of them. What they do is in processing_course.py."""

from __future__ import annotations

import time
from typing import Any

from local_aws.sagemaker.calls import Call, operation
from local_aws.sagemaker.errors import AwsError, in_use, invalid, not_found
from local_aws.sagemaker.jobs import PROCESSING
from local_aws.sagemaker.listing import list_records
from local_aws.sagemaker.processing_course import end, process
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.validation import known_fields

_DEFAULT_RUNTIME_S = 86_400


@operation
def create_processing_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Start a processing job."""
    arn, now = call.arn("processing-job", request["ProcessingJobName"]), time.time()
    record: Record = {
        **request,
        "ProcessingJobArn": arn,
        "ProcessingJobStatus": "InProgress",
        "CreationTime": now,
        "LastModifiedTime": now,
        "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": _DEFAULT_RUNTIME_S}),
    }
    taken = in_use(
        "Job name must be unique within an AWS account and region, and a job with this name already exists"
        f" ({arn})"
    )
    call.add(arn, record, request.get("Tags", []), taken)
    call.engine.run(PROCESSING, arn, process, end)
    return {"ProcessingJobArn": arn}


@operation
def describe_processing_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a processing job."""
    name = request["ProcessingJobName"]
    record = call.store.get(call.arn("processing-job", name), invalid(_missing(name)))
    return known_fields("DescribeProcessingJob", record)


@operation
def list_processing_jobs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List processing jobs."""
    records = call.store.under(call.arn("processing-job"))
    names = {"name": "ProcessingJobName", "status": "ProcessingJobStatus"}
    return list_records("ListProcessingJobs", records, request, **names)


@operation
def stop_processing_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Ask a processing job to stop."""
    name = request["ProcessingJobName"]
    arn = call.arn("processing-job", name)
    call.store.get(arn, not_found(_missing(name)))
    call.store.rewrite(arn, lambda record: begin_stop(record, "ProcessingJobStatus", "processing"))
    call.engine.stop(arn)
    return {}


def begin_stop(record: Record, status_field: str, kind: str) -> None:
    """Set a job's status to Stopping, unless it is over."""
    if record[status_field] not in ("InProgress", "Stopping"):
        raise _rejected(kind, record[status_field])
    record[status_field] = "Stopping"


def _rejected(kind: str, status: str) -> AwsError:
    return invalid(f"The request was rejected because the {kind} job is in status {status}.")


def _missing(name: str) -> str:
    return f"Could not find requested job with name: {name}"

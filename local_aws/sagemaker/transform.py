"""Transform jobs: what the control plane knows of them. What they do is in transform_course.py."""

from __future__ import annotations

import time
from typing import Any

from local_aws.sagemaker.calls import Call, operation
from local_aws.sagemaker.errors import in_use, invalid, not_found
from local_aws.sagemaker.jobs import TRANSFORM
from local_aws.sagemaker.listing import list_records
from local_aws.sagemaker.models import get_model
from local_aws.sagemaker.processing import begin_stop
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.transform_course import end, transform
from local_aws.sagemaker.validation import known_fields


@operation
def create_transform_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Start a transform job."""
    arn, now = call.arn("transform-job", request["TransformJobName"]), time.time()
    model = get_model(call, request["ModelName"])
    _check(request)
    record: Record = {
        **request,
        "TransformJobArn": arn,
        "TransformJobStatus": "InProgress",
        "CreationTime": now,
        "LastModifiedTime": now,
        "_container": model["_containers"][0],
    }
    taken = in_use(
        "Job name must be unique within an AWS account and region, and a job with this name already exists"
        f" ({arn})"
    )
    call.add(arn, record, request.get("Tags", []), taken)
    call.engine.run(TRANSFORM, arn, transform, end)
    return {"TransformJobArn": arn}


@operation
def describe_transform_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a transform job."""
    name = request["TransformJobName"]
    record = call.store.get(call.arn("transform-job", name), invalid(_missing(name)))
    return known_fields("DescribeTransformJob", record)


@operation
def list_transform_jobs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List transform jobs."""
    records = call.store.under(call.arn("transform-job"))
    names = {"name": "TransformJobName", "status": "TransformJobStatus"}
    return list_records("ListTransformJobs", records, request, **names)


@operation
def stop_transform_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Ask a transform job to stop."""
    name = request["TransformJobName"]
    arn = call.arn("transform-job", name)
    call.store.get(arn, not_found(_missing(name)))
    call.store.rewrite(arn, lambda record: begin_stop(record, "TransformJobStatus", "transform"))
    call.engine.stop(arn)
    return {}


def _check(request: dict[str, Any]) -> None:
    split = request["TransformInput"].get("SplitType", "None")
    joins = request.get("DataProcessing", {}).get("JoinSource", "None") != "None"
    assembles = request["TransformOutput"].get("AssembleWith", "None")
    if split not in ("None", "Line"):
        raise invalid(f"The embedded AWS splits input by Line or not at all, not by {split}.")
    if joins and split != assembles:
        raise invalid("To join the input, SplitType and AssembleWith must be the same.")


def _missing(name: str) -> str:
    return f"Could not find requested job with name: {name}"

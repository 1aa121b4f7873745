"""The model registry: groups and their versions."""

from __future__ import annotations

import time
from typing import Any

from local_aws.sagemaker.calls import Call, operation
from local_aws.sagemaker.errors import AwsError, invalid
from local_aws.sagemaker.listing import list_records
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.validation import known_fields

_GROUP = "model-package-group"
_PACKAGE = "model-package"
_EDITABLE = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "SourceUri",
    "InferenceSpecification",
    "ModelLifeCycle",
)
_EVENT_FIELDS = [
    "ModelPackageGroupName",
    "ModelPackageName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "CustomerMetadataProperties",
    "ApprovalDescription",
]


@operation
def create_model_package_group(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Keep a group for the versions of one model."""
    arn = call.arn(_GROUP, request["ModelPackageGroupName"])
    record = request | {
        "ModelPackageGroupArn": arn,
        "ModelPackageGroupStatus": "Completed",
        "CreationTime": time.time(),
        "CreatedBy": {},
        "_last_version": 0,
    }
    call.add(arn, record, request.get("Tags", []), invalid(f"Model Package Group already exists: {arn}"))
    return {"ModelPackageGroupArn": arn}


@operation
def describe_model_package_group(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a group."""
    return known_fields("DescribeModelPackageGroup", _get_group(call, request["ModelPackageGroupName"]))


@operation
def list_model_package_groups(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List groups."""
    records = call.store.under(call.arn(_GROUP))
    return list_records("ListModelPackageGroups", records, request, name="ModelPackageGroupName")


@operation
def delete_model_package_group(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Forget a group that holds no version any more."""
    group = _get_group(call, request["ModelPackageGroupName"])
    arn = group["ModelPackageGroupArn"]
    with call.store.locked():
        if call.store.under(call.arn(_PACKAGE, f"{group['ModelPackageGroupName']}/")):
            raise AwsError("ConflictException", f"Model Package Group still contains model packages: {arn}")
        call.store.remove(arn, _missing_group(arn))
    return {}


@operation
def create_model_package(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Register the next version in a group, or a package that has only a name."""
    if ("ModelPackageGroupName" in request) == ("ModelPackageName" in request):
        raise invalid("Exactly one of ModelPackageGroupName and ModelPackageName must be provided.")
    with call.store.locked():
        earlier = _made_by_token(call, request.get("ClientToken"))
        if earlier:
            return {"ModelPackageArn": earlier["ModelPackageArn"]}
        record = _new_package(call, request)
        arn = record["ModelPackageArn"]
        call.add(arn, record, request.get("Tags", []), invalid(f"Model Package already exists: {arn}"))
    _announce(call, record)
    return {"ModelPackageArn": arn}


@operation
def describe_model_package(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a model package."""
    return known_fields("DescribeModelPackage", _get_package(call, request["ModelPackageName"]))


@operation
def batch_describe_model_package(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer several versions at once."""
    found, errors = {}, {}
    for arn in request["ModelPackageArnList"]:
        record = call.store.find(arn)
        if record:
            found[arn] = {name: record[name] for name in _BATCH_FIELDS if name in record}
        else:
            errors[arn] = {
                "ErrorCode": "ValidationException",
                "ErrorResponse": f"ModelPackage {arn} does not exist.",
            }
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}


_BATCH_FIELDS = [
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelApprovalStatus",
]


@operation
def update_model_package(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Change a version's approval, its reason, or its metadata."""
    arn = _get_package(call, request["ModelPackageArn"])["ModelPackageArn"]

    def edit(record: Record) -> None:
        record |= {name: request[name] for name in _EDITABLE if name in request}
        metadata = record.get("CustomerMetadataProperties", {})
        metadata |= request.get("CustomerMetadataProperties", {})
        for name in request.get("CustomerMetadataPropertiesToRemove", []):
            metadata.pop(name, None)
        record["CustomerMetadataProperties"] = metadata
        record["LastModifiedBy"] = {}

    _announce(call, call.store.rewrite(arn, edit))
    return {"ModelPackageArn": arn}


@operation
def list_model_packages(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List the versions of a group, or the packages that have only a name."""
    group = request.get("ModelPackageGroupName")
    kind = request.get("ModelPackageType", "Versioned" if group else "Unversioned")
    records = [
        record
        for record in call.store.under(call.arn(_PACKAGE))
        if (not group or record.get("ModelPackageGroupName") == group.rsplit("/", 1)[-1])
        and (kind == "Both" or ("ModelPackageVersion" in record) == (kind == "Versioned"))
        and request.get("ModelApprovalStatus") in (None, record.get("ModelApprovalStatus"))
    ]
    return list_records("ListModelPackages", records, request, name="_name")


@operation
def delete_model_package(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Forget a model package; its version number is not given again."""
    arn = _get_package(call, request["ModelPackageName"])["ModelPackageArn"]
    call.store.remove(arn, _missing_package(arn))
    return {}


def _new_package(call: Call, request: dict[str, Any]) -> Record:
    now = time.time()
    record = request | {
        "CreationTime": now,
        "LastModifiedTime": now,
        "CreatedBy": {},
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CertifyForMarketplace": request.get("CertifyForMarketplace", False),
    }
    if "ModelPackageName" in request:
        arn = call.arn(_PACKAGE, request["ModelPackageName"])
        return record | {"ModelPackageArn": arn, "_name": request["ModelPackageName"]}
    group = _get_group(call, request["ModelPackageGroupName"])
    name, version = group["ModelPackageGroupName"], group["_last_version"] + 1
    call.store.change(group["ModelPackageGroupArn"], _last_version=version)
    return record | {
        "ModelPackageGroupName": name,
        "ModelPackageVersion": version,
        "ModelPackageArn": call.arn(_PACKAGE, f"{name}/{version}"),
        "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
        "_name": name,
    }


def _made_by_token(call: Call, token: str | None) -> Record | None:
    packages = call.store.under(call.arn(_PACKAGE)) if token else []
    return next((package for package in packages if package.get("ClientToken") == token), None)


def _announce(call: Call, record: Record) -> None:
    detail = {name: record[name] for name in _EVENT_FIELDS if name in record}
    call.clients.emit(call.region, "SageMaker Model Package State Change", record["ModelPackageArn"], detail)


def _get_group(call: Call, name: str) -> Record:
    arn = name if name.startswith("arn:") else call.arn(_GROUP, name)
    return call.store.get(arn, _missing_group(arn))


def _get_package(call: Call, name: str) -> Record:
    arn = name if name.startswith("arn:") else call.arn(_PACKAGE, name)
    return call.store.get(arn, _missing_package(arn))


def _missing_group(arn: str) -> AwsError:
    return invalid(f"ModelPackageGroup {arn} does not exist.")


def _missing_package(arn: str) -> AwsError:
    return invalid(f"ModelPackage {arn} does not exist.")

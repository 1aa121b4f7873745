"""The model registry: every evaluated candidate becomes a version of its group, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from vigil.aws import S3Location, content_hash, error_message
from vigil.errors import CloudError

_CSV = "text/csv"
_JSON = "application/json"
_TRAINED_BY = "Trained by "
# How the reason of a version begins that people went back from.
ROLLED_BACK = "Rolled back to "
# Of ApprovalDescription, which also takes no line breaks.
_LONGEST_REASON = 1024


@dataclass(frozen=True)
class Candidate:
    """What a version is made of and from.

    Attributes:
        image: container image that serves it.
        model_data_url: S3 location of its artifact.
        training_job: that made it.
        dataset: `schema.json` of the data set.
        manifest: of the export that the data set was made of.
        evaluation: `evaluation.json`.
        band: `band.json`; None of a model that tells classes.
        smoke_test: rows with its known answers.
        report: of its evaluation, for people.
        metrics: of its evaluation, by name.
        run: of training and release.
    """

    image: str
    model_data_url: str
    training_job: str
    dataset: S3Location
    manifest: S3Location
    evaluation: S3Location
    band: S3Location | None
    smoke_test: S3Location
    report: S3Location
    metrics: Mapping[str, float | None]
    run: str


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the registry.

    Attributes:
        model_version: group and version, as in `event-counts/3`.
        model_package_arn: its ARN.
        image: container image that serves it.
        model_data_url: S3 location of its artifact.
        training_job: that made it.
        dataset: S3 location of the description of its data set.
        smoke_test: S3 location of rows with its known answers; None of a version registered without.
        evaluation: S3 location of its `evaluation.json`.
        approval: Approved, Rejected or PendingManualApproval.
        reason: of the approval's state.
    """

    model_version: str
    model_package_arn: str
    image: str
    model_data_url: str
    training_job: str
    dataset: str
    smoke_test: str | None
    evaluation: str
    approval: str
    reason: str


def register(
    sagemaker: Any,
    group: str,
    candidate: Candidate,
    *,
    approved: bool | None,
    reasons: Sequence[str],
    tags: Sequence[Mapping[str, str]] = (),
) -> RegisteredModel:
    """Register a candidate as the next version of a group, or find the version it already is.

    A version that people went back from stays rejected, however often its run is cleared: only a person
    approves it again, in the registry.

    Args:
        sagemaker: client.
        group: model package group; made if it is not there.
        candidate: what to register; a training job has one version, however often this is called.
        approved: whether it may be deployed; None leaves that to a person, who may have said so before.
        reasons: why, or why not.
        tags: of the group, if it is made.
    """
    _make_group(sagemaker, group, tags)
    arn = _find(sagemaker, group, candidate.training_job)
    if arn is None:
        # The two need not meet: a look-up finds what was registered some time ago, the token what was
        # registered just now by somebody else.
        token = content_hash([group, candidate.training_job], length=36)
        request = _package_request(group, candidate)
        arn = sagemaker.create_model_package(**request, ClientToken=token)["ModelPackageArn"]
    registered = registered_model(sagemaker, arn)
    if approved is None:
        return _explain(sagemaker, registered, reasons)
    if registered.approval == "Rejected" and registered.reason.startswith(ROLLED_BACK):
        return registered
    return decide(sagemaker, arn, approved=approved, reasons=reasons)


def decide(
    sagemaker: Any, model_package_arn: str, *, approved: bool, reasons: Sequence[str]
) -> RegisteredModel:
    """Approve or reject a version, and say why; nothing is written if it stands so already."""
    wanted = "Approved" if approved else "Rejected"
    reason = _description(reasons)
    model = registered_model(sagemaker, model_package_arn)
    if (model.approval, model.reason) == (wanted, reason):
        return model
    sagemaker.update_model_package(
        ModelPackageArn=model_package_arn, ModelApprovalStatus=wanted, ApprovalDescription=reason
    )
    return registered_model(sagemaker, model_package_arn)


def _explain(sagemaker: Any, registered: RegisteredModel, reasons: Sequence[str]) -> RegisteredModel:
    """Say why a version waits for a person; leave what a person has said."""
    if registered.approval != "PendingManualApproval" or registered.reason:
        return registered
    # The status is left out: a person may set it at this moment.
    sagemaker.update_model_package(
        ModelPackageArn=registered.model_package_arn, ApprovalDescription=_description(reasons)
    )
    return registered_model(sagemaker, registered.model_package_arn)


def _description(reasons: Sequence[str]) -> str:
    return " ".join(" ".join(reasons).split())[:_LONGEST_REASON]


def registered_model(sagemaker: Any, model_package_arn: str) -> RegisteredModel:
    """Read a version from the registry.

    Raises:
        CloudError: there is no such version, or it was not registered by `register`.
    """
    try:
        package = sagemaker.describe_model_package(ModelPackageName=model_package_arn)
    except ClientError as error:
        raise CloudError(
            f"The registry has no model package {model_package_arn}: {error_message(error)}"
        ) from error
    container = package["InferenceSpecification"]["Containers"][0]
    made_from = package.get("CustomerMetadataProperties", {})
    if "training_job" not in made_from:
        raise CloudError(
            f"The model package {model_package_arn} does not say which training job made it: it was not "
            "registered by this pipeline. Choose another version."
        )
    return RegisteredModel(
        model_version=f"{package['ModelPackageGroupName']}/{package['ModelPackageVersion']}",
        model_package_arn=package["ModelPackageArn"],
        image=container["Image"],
        model_data_url=container["ModelDataUrl"],
        training_job=made_from["training_job"],
        dataset=made_from["dataset"],
        smoke_test=made_from.get("smoke_test"),
        evaluation=made_from["evaluation"],
        approval=package["ModelApprovalStatus"],
        reason=package.get("ApprovalDescription", ""),
    )


def _find(sagemaker: Any, group: str, training_job: str) -> str | None:
    """Return the version that a training job's model already is."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    for page in pages:
        for package in page["ModelPackageSummaryList"]:
            if package.get("ModelPackageDescription") == _TRAINED_BY + training_job:
                return str(package["ModelPackageArn"])
    return None


def _make_group(sagemaker: Any, group: str, tags: Sequence[Mapping[str, str]]) -> None:
    try:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=group,
            ModelPackageGroupDescription=f"Every evaluated candidate of the model {group}",
            Tags=list(tags),
        )
    except ClientError as error:
        if "already exists" not in error_message(error).lower():
            raise


def _package_request(group: str, candidate: Candidate) -> dict[str, Any]:
    quality = {"Statistics": {"ContentType": _JSON, "S3Uri": str(candidate.evaluation)}}
    if candidate.band:
        quality["Constraints"] = {"ContentType": _JSON, "S3Uri": str(candidate.band)}
    return {
        "ModelPackageGroupName": group,
        "ModelPackageDescription": _TRAINED_BY + candidate.training_job,
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": candidate.image, "ModelDataUrl": candidate.model_data_url}],
            "SupportedContentTypes": [_CSV],
            "SupportedResponseMIMETypes": [_CSV, _JSON],
        },
        "ModelMetrics": {"ModelQuality": quality},
        "CustomerMetadataProperties": {
            "training_job": candidate.training_job,
            "dataset": str(candidate.dataset),
            "manifest": str(candidate.manifest),
            "evaluation": str(candidate.evaluation),
            "smoke_test": str(candidate.smoke_test),
            "report": str(candidate.report),
            "run": candidate.run,
            **{name: f"{value:.6g}" for name, value in candidate.metrics.items() if value is not None},
        },
    }

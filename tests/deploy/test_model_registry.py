"""What releases of an environment left in the model registry goes, and nothing of another environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from deploy.model_registry import ModelRegistry
from vigil.aws import Aws

BUCKET = "vigil-prod-123456789012-eu-west-1"
OF_RELEASE = [{"Key": "project", "Value": "vigil"}]


@pytest.fixture
def sagemaker(aws: Aws) -> Any:
    return aws.client("sagemaker")


@pytest.fixture
def make(sagemaker: Any) -> Iterator[Callable[..., str]]:
    """Make a group with a version in each of some buckets; return its ARN."""
    made = []

    def make(tags: list[dict[str, str]], *buckets: str) -> str:
        name = f"g-{uuid4().hex[:8]}"
        made.append(name)
        group = sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=tags)
        for bucket in buckets:
            containers = [{"Image": "any", "ModelDataUrl": f"s3://{bucket}/any/model.tar.gz"}]
            types = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
            specification = {"Containers": containers, **types}
            sagemaker.create_model_package(ModelPackageGroupName=name, InferenceSpecification=specification)
        return str(group["ModelPackageGroupArn"])

    yield make
    there = sagemaker.list_model_package_groups(MaxResults=100)["ModelPackageGroupSummaryList"]
    for name in {group["ModelPackageGroupName"] for group in there} & set(made):
        for version in versions(sagemaker, name):
            sagemaker.delete_model_package(ModelPackageName=version)
        sagemaker.delete_model_package_group(ModelPackageGroupName=name)


def versions(sagemaker: Any, group: str) -> list[str]:
    found = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    return [one["ModelPackageArn"] for one in found]


def groups(sagemaker: Any) -> set[str]:
    found = sagemaker.list_model_package_groups(MaxResults=100)["ModelPackageGroupSummaryList"]
    return {group["ModelPackageGroupArn"] for group in found}


def test_groups_whose_models_lie_in_our_buckets_go_and_those_of_others_stay(sagemaker, make):
    of_stack = make([], "bucket-of-somebody", BUCKET)
    ours = make(OF_RELEASE, BUCKET, BUCKET)
    others = {
        "by another environment": make(OF_RELEASE, f"{BUCKET}-2"),
        "by two environments": make(OF_RELEASE, BUCKET, "vigil-test-123456789012-eu-west-1"),
        "by no release": make([], BUCKET),
        "nothing yet": make(OF_RELEASE),
    }
    kept = {arn: versions(sagemaker, arn.rpartition("/")[2]) for arn in others.values()}
    registry = ModelRegistry(sagemaker, "prod", {BUCKET}, of_stack, lambda _: None)
    registry.empty()
    assert ours not in groups(sagemaker)
    assert versions(sagemaker, of_stack.rpartition("/")[2]) == []
    assert {arn: versions(sagemaker, arn.rpartition("/")[2]) for arn in others.values()} == kept


def test_a_group_that_was_emptied_when_the_teardown_died_goes_at_the_next(sagemaker, make):
    ours = make(OF_RELEASE, BUCKET)
    registry = ModelRegistry(sagemaker, "prod", {BUCKET}, None, lambda _: None)

    def die(**_: Any) -> None:
        raise KeyboardInterrupt

    event = "before-call.sagemaker.DeleteModelPackageGroup"
    sagemaker.meta.events.register(event, die)
    with pytest.raises(KeyboardInterrupt):
        registry.empty()
    sagemaker.meta.events.unregister(event, die)
    assert versions(sagemaker, ours.rpartition("/")[2]) == []
    registry.empty()
    assert ours not in groups(sagemaker)

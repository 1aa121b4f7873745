"""The model packages of an environment, in groups that are called as the model specs say.

Whose a group is, is told by the buckets that its models lie in: other environments of the account have groups
as well, for other models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import Any

from deploy.stacks import ENVIRONMENT_TAG


@dataclass(frozen=True)
class ModelRegistry:
    """Groups of model packages of one environment.

    Attributes:
        sagemaker: client.
        environment: its name.
        buckets: that were made for the environment alone.
        group_of_stack: ARN of the group that a stack made, and deletes; None if there is none.
        tell: is told each step, a line at a time.
    """

    sagemaker: Any
    environment: str
    buckets: Set[str]
    group_of_stack: str | None
    tell: Callable[[str], None]

    def empty(self) -> None:
        """Delete every version of the environment's models, and the groups that releases made for them."""
        for group in list(self._listed("model_package_group")):
            arn, name = group["ModelPackageGroupArn"], group["ModelPackageGroupName"]
            if arn == self.group_of_stack:
                self._delete_versions(name)
            elif self._is_ours(arn, name):
                self.tell(f"deleting the model package group {name}")
                # Emptied by a teardown that was killed, it would say nothing else of whose it is.
                mark = {"Key": ENVIRONMENT_TAG, "Value": self.environment}
                self.sagemaker.add_tags(ResourceArn=arn, Tags=[mark])
                self._delete_versions(name)
                self.sagemaker.delete_model_package_group(ModelPackageGroupName=name)

    def _is_ours(self, arn: str, group: str) -> bool:
        found = self.sagemaker.list_tags(ResourceArn=arn)["Tags"]
        tags = {tag["Key"]: tag["Value"] for tag in found}
        if tags.get("project") != "vigil":
            return False
        versions = self._versions(group)
        if not versions:
            return tags.get(ENVIRONMENT_TAG) == self.environment
        return all(self._lies_in_our_buckets(version) for version in versions)

    def _lies_in_our_buckets(self, version: str) -> bool:
        described = self.sagemaker.describe_model_package(ModelPackageName=version)
        containers = described.get("InferenceSpecification", {}).get("Containers", [])
        places = tuple(f"s3://{bucket}/" for bucket in self.buckets)
        return any(container.get("ModelDataUrl", "").startswith(places) for container in containers)

    def _delete_versions(self, group: str) -> None:
        for version in self._versions(group):
            self.sagemaker.delete_model_package(ModelPackageName=version)

    def _versions(self, group: str) -> list[str]:
        found = self._listed("model_package", ModelPackageGroupName=group)
        return [version["ModelPackageArn"] for version in found]

    def _listed(self, kind: str, **filters: str) -> Iterator[dict[str, Any]]:
        noun = "".join(part.title() for part in kind.split("_"))
        for page in self.sagemaker.get_paginator(f"list_{kind}s").paginate(**filters):
            yield from page[f"{noun}SummaryList"]

"""IAM in stacks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import (
    Kind,
    Properties,
    Region,
    as_json,
    tag_list,
    tag_map,
)

_TAG_VALUE = re.compile(r"[\w\s.:/=+\-@]*")


class Role(Kind):
    """AWS::IAM::Role."""

    type = "AWS::IAM::Role"
    name_property = "RoleName"
    inherits_tags = True
    fixed = ("Path",)
    known = frozenset(
        {
            "AssumeRolePolicyDocument",
            "Description",
            "ManagedPolicyArns",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        }
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        _refuse_bad_tags(properties)
        boundary = properties.get("PermissionsBoundary")
        region.client("iam").create_role(
            RoleName=name[:64],
            Path=properties.get("Path", "/"),
            AssumeRolePolicyDocument=as_json(properties["AssumeRolePolicyDocument"]),
            Description=properties.get("Description", ""),
            MaxSessionDuration=int(properties.get("MaxSessionDuration", 3600)),
            Tags=tag_list(properties),
            **({"PermissionsBoundary": boundary} if boundary else {}),
        )
        return name[:64]

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        iam = region.client("iam")
        if before:
            trust = as_json(properties["AssumeRolePolicyDocument"])
            iam.update_assume_role_policy(RoleName=physical_id, PolicyDocument=trust)
            duration = int(properties.get("MaxSessionDuration", 3600))
            description = properties.get("Description", "")
            iam.update_role(RoleName=physical_id, Description=description, MaxSessionDuration=duration)
            _bound(iam, physical_id, properties, before)
            _tag(iam, physical_id, properties, before)
        for policy in properties.get("Policies", []):
            document = as_json(policy["PolicyDocument"])
            iam.put_role_policy(
                RoleName=physical_id, PolicyName=policy["PolicyName"], PolicyDocument=document
            )
        for name in _policy_names(before) - _policy_names(properties):
            iam.delete_role_policy(RoleName=physical_id, PolicyName=name)
        _attach(iam, physical_id, properties.get("ManagedPolicyArns", []))
        _detach(iam, physical_id, _gone("ManagedPolicyArns", properties, before))

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        role = region.client("iam").get_role(RoleName=physical_id)["Role"]
        return {"Arn": role["Arn"], "RoleId": role["RoleId"]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        iam = region.client("iam")
        for name in iam.list_role_policies(RoleName=physical_id)["PolicyNames"]:
            iam.delete_role_policy(RoleName=physical_id, PolicyName=name)
        attached = iam.list_attached_role_policies(RoleName=physical_id)["AttachedPolicies"]
        _detach(iam, physical_id, [policy["PolicyArn"] for policy in attached])
        iam.delete_role(RoleName=physical_id)


class ManagedPolicy(Kind):
    """AWS::IAM::ManagedPolicy."""

    type = "AWS::IAM::ManagedPolicy"
    name_property = "ManagedPolicyName"
    fixed = ("Path", "Description")
    known = frozenset({"Description", "ManagedPolicyName", "Path", "PolicyDocument", "Roles"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        made = region.client("iam").create_policy(
            PolicyName=name,
            Path=properties.get("Path", "/"),
            Description=properties.get("Description", ""),
            PolicyDocument=as_json(properties["PolicyDocument"]),
        )
        return str(made["Policy"]["Arn"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        iam = region.client("iam")
        if before and properties["PolicyDocument"] != before["PolicyDocument"]:
            self._put_version(iam, physical_id, as_json(properties["PolicyDocument"]))
        for role in properties.get("Roles", []):
            _attach(iam, role, [physical_id])
        for role in _gone("Roles", properties, before):
            _detach(iam, role, [physical_id])

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"PolicyArn": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        iam = region.client("iam")
        for role in iam.list_entities_for_policy(PolicyArn=physical_id)["PolicyRoles"]:
            _detach(iam, role["RoleName"], [physical_id])
        self._delete_old_versions(iam, physical_id)
        iam.delete_policy(PolicyArn=physical_id)

    def _put_version(self, iam: Any, arn: str, document: str) -> None:
        self._delete_old_versions(iam, arn)
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)

    def _delete_old_versions(self, iam: Any, arn: str) -> None:
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])


class InstanceProfile(Kind):
    """AWS::IAM::InstanceProfile."""

    type = "AWS::IAM::InstanceProfile"
    name_property = "InstanceProfileName"
    fixed = ("Path",)
    known = frozenset({"InstanceProfileName", "Path", "Roles"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        path = properties.get("Path", "/")
        region.client("iam").create_instance_profile(InstanceProfileName=name, Path=path)
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        iam = region.client("iam")
        for role in _gone("Roles", properties, before):
            iam.remove_role_from_instance_profile(InstanceProfileName=physical_id, RoleName=role)
        for role in _gone("Roles", before, properties):
            iam.add_role_to_instance_profile(InstanceProfileName=physical_id, RoleName=role)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("iam").get_instance_profile(InstanceProfileName=physical_id)
        return {"Arn": found["InstanceProfile"]["Arn"]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        iam = region.client("iam")
        for role in properties.get("Roles", []):
            iam.remove_role_from_instance_profile(InstanceProfileName=physical_id, RoleName=role)
        iam.delete_instance_profile(InstanceProfileName=physical_id)


def _bound(iam: Any, role: str, properties: Properties, before: Properties) -> None:
    """Set the boundary of a role anew, or take it away."""
    boundary = properties.get("PermissionsBoundary")
    if boundary:
        iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=boundary)
    elif "PermissionsBoundary" in before:
        iam.delete_role_permissions_boundary(RoleName=role)


def _refuse_bad_tags(properties: Properties) -> None:
    """Refuse what IAM does not take, which is stricter than others; moto looks at keys alone."""
    for number, value in enumerate(tag_map(properties).values(), 1):
        if not _TAG_VALUE.fullmatch(value):
            raise ValidationError(
                message=f"1 validation error detected: Value at 'tags.{number}.member.value' failed to "
                "satisfy constraint: Member must satisfy regular expression pattern: "
                r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*"
            )


def _tag(iam: Any, role: str, properties: Properties, before: Properties) -> None:
    stale = tag_map(before).keys() - tag_map(properties).keys()
    if stale:
        iam.untag_role(RoleName=role, TagKeys=sorted(stale))
    if tag_map(properties):
        iam.tag_role(RoleName=role, Tags=tag_list(properties))


def _policy_names(properties: Properties) -> set[str]:
    return {policy["PolicyName"] for policy in properties.get("Policies", [])}


def _gone(name: str, properties: Properties, before: Properties) -> list[str]:
    return sorted(set(before.get(name, [])) - set(properties.get(name, [])))


def _attach(iam: Any, role: str, policies: Iterable[str]) -> None:
    for arn in policies:
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)


def _detach(iam: Any, role: str, policies: Iterable[str]) -> None:
    for arn in policies:
        iam.detach_role_policy(RoleName=role, PolicyArn=arn)

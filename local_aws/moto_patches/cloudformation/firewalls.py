"""Security groups in stacks: moto's own would be deleted and made anew for every changed rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from local_aws.moto_patches.cloudformation.compute import Ec2Kind
from local_aws.moto_patches.cloudformation.resources import Properties, Region, tag_map

_ALL_OUT = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
_RANGES = {
    "CidrIp": "IpRanges",
    "CidrIpv6": "Ipv6Ranges",
    "DestinationPrefixListId": "PrefixListIds",
    "SourcePrefixListId": "PrefixListIds",
    "SourceSecurityGroupId": "UserIdGroupPairs",
    "DestinationSecurityGroupId": "UserIdGroupPairs",
}
_KEYS = {"PrefixListIds": "PrefixListId", "UserIdGroupPairs": "GroupId"}


class SecurityGroup(Ec2Kind):
    """AWS::EC2::SecurityGroup."""

    type = "AWS::EC2::SecurityGroup"
    takes_labels = True
    name_property = "GroupName"
    fixed = ("GroupDescription", "VpcId")
    known: ClassVar[frozenset[str]] = frozenset(
        {*fixed, "GroupName", "SecurityGroupEgress", "SecurityGroupIngress", "Tags"}
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        vpc = {"VpcId": properties["VpcId"]} if properties.get("VpcId") else {}
        made = region.client("ec2").create_security_group(
            GroupName=name, Description=properties["GroupDescription"], **vpc
        )
        return str(made["GroupId"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        ec2 = region.client("ec2")
        ingress, egress = _rules(properties, "Ingress"), _rules(properties, "Egress")
        ingress_before = _rules(before, "Ingress")
        egress_before = _rules(before, "Egress") if before else [_permission(_ALL_OUT)]
        for changed, call in (
            (_beyond(ingress_before, ingress), ec2.revoke_security_group_ingress),
            (_beyond(ingress, ingress_before), ec2.authorize_security_group_ingress),
            (_beyond(egress_before, egress), ec2.revoke_security_group_egress),
            (_beyond(egress, egress_before), ec2.authorize_security_group_egress),
        ):
            if changed:
                call(GroupId=physical_id, IpPermissions=changed)
        stale = tag_map(before).keys() - tag_map(properties).keys()
        if stale:
            ec2.delete_tags(Resources=[physical_id], Tags=[{"Key": key} for key in sorted(stale)])
        tags = {**region.labels, **tag_map(properties)}
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        ec2.create_tags(Resources=[physical_id], Tags=listed)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("ec2").describe_security_groups(GroupIds=[physical_id])["SecurityGroups"][0]
        return {"GroupId": physical_id, "VpcId": found.get("VpcId", "")}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("ec2").delete_security_group(GroupId=physical_id)


def _rules(properties: Properties, direction: str) -> list[dict[str, Any]]:
    """Write the rules of a group as the API takes them; without rules for it, everything may go out."""
    given = properties.get(f"SecurityGroup{direction}")
    if given is None:
        given = [_ALL_OUT] if direction == "Egress" else []
    return [_permission(rule) for rule in given]


def _permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    for port in ("FromPort", "ToPort"):
        if rule.get(port) is not None:
            permission[port] = int(rule[port])
    described = {"Description": rule["Description"]} if rule.get("Description") else {}
    for source, ranges in _RANGES.items():
        if rule.get(source):
            permission[ranges] = [{_KEYS.get(ranges, source): rule[source], **described}]
    return permission


def _beyond(rules: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for rule in rules if rule not in others]

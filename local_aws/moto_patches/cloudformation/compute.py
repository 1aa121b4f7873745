"""EC2 in stacks."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from moto.cloudformation.exceptions import ValidationError
from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import Kind, Properties, Region, tag_map

_WAIT = {"Delay": 0.05, "MaxAttempts": 6000}
_BY_STOPPING = {"InstanceType": "InstanceType", "UserData": "UserData", "EbsOptimized": "EbsOptimized"}
_IN_PLACE = ("DisableApiTermination", "InstanceInitiatedShutdownBehavior")


class Ec2Kind(Kind):
    """A kind that refuses what the type does not have in EC2's words."""

    @override
    def refuse_unknown(self, properties: Properties) -> None:
        refuse_extraneous(self.type.rsplit("::", 1)[1], "#", properties.keys() - self.known)


class Instance(Ec2Kind):
    """AWS::EC2::Instance."""

    type = "AWS::EC2::Instance"
    takes_labels = True
    fixed = (
        "BlockDeviceMappings",
        "ImageId",
        "KeyName",
        "LaunchTemplate",
        "SecurityGroups",
        "SubnetId",
    )
    known: ClassVar[frozenset[str]] = frozenset(
        {
            *fixed,
            *_BY_STOPPING,
            *_IN_PLACE,
            "IamInstanceProfile",
            "Monitoring",
            "PropagateTagsToVolumeOnCreation",
            "SecurityGroupIds",
            "Tags",
        }
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        ec2 = region.client("ec2")
        request = dict(_request(properties)) | {"MinCount": 1, "MaxCount": 1}
        tags = {**region.labels, **tag_map(properties)}
        request["TagSpecifications"] = [
            {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            for kind in ("instance", "volume")
            if kind == "instance" or _is_true(properties.get("PropagateTagsToVolumeOnCreation"))
        ]
        made = ec2.run_instances(**as_operation_takes(ec2, "RunInstances", request))
        identifier = str(made["Instances"][0]["InstanceId"])
        _wait_past(ec2, identifier, "pending")
        return identifier

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if not before:
            return
        ec2 = region.client("ec2")
        changed = {name for name in self.known if properties.get(name) != before.get(name)}
        self._apply_tags(ec2, region.labels, physical_id, properties, before)
        for name in changed.intersection(_IN_PLACE):
            _modify(ec2, physical_id, name, properties.get(name, _DEFAULTS[name]))
        if "SecurityGroupIds" in changed:
            ec2.modify_instance_attribute(
                InstanceId=physical_id, Groups=properties.get("SecurityGroupIds", [])
            )
        if "Monitoring" in changed:
            call = (
                ec2.monitor_instances if _is_true(properties.get("Monitoring")) else ec2.unmonitor_instances
            )
            call(InstanceIds=[physical_id])
        if "IamInstanceProfile" in changed:
            _change_profile(ec2, physical_id, properties.get("IamInstanceProfile"))
        if changed & _BY_STOPPING.keys():
            self._change_by_stopping(ec2, physical_id, properties, changed & _BY_STOPPING.keys())

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = _describe(region.client("ec2"), physical_id)
        return {
            "InstanceId": physical_id,
            "VpcId": found.get("VpcId", ""),
            "PrivateIp": found.get("PrivateIpAddress", ""),
            "PublicIp": found.get("PublicIpAddress", ""),
            "PublicDnsName": found.get("PublicDnsName", ""),
            "PrivateDnsName": found.get("PrivateDnsName", ""),
            "AvailabilityZone": found["Placement"]["AvailabilityZone"],
        }

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        ec2 = region.client("ec2")
        ec2.terminate_instances(InstanceIds=[physical_id])
        ec2.get_waiter("instance_terminated").wait(InstanceIds=[physical_id], WaiterConfig=_WAIT)

    def _change_by_stopping(
        self, ec2: Any, physical_id: str, properties: Properties, changed: set[str]
    ) -> None:
        """Stop, change, start: what the instance ran ends, and nothing is run anew."""
        ec2.stop_instances(InstanceIds=[physical_id])
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[physical_id], WaiterConfig=_WAIT)
        for name in sorted(changed):
            value = properties.get(name, _DEFAULTS[name])
            _modify(ec2, physical_id, name, _decoded(value) if name == "UserData" else value)
        ec2.start_instances(InstanceIds=[physical_id])
        _wait_past(ec2, physical_id, "pending")

    def _apply_tags(
        self,
        ec2: Any,
        labels: Mapping[str, str],
        physical_id: str,
        properties: Properties,
        before: Properties,
    ) -> None:
        wanted = {**labels, **tag_map(properties)}
        stale = tag_map(before).keys() - wanted.keys()
        if stale:
            ec2.delete_tags(Resources=[physical_id], Tags=[{"Key": key} for key in sorted(stale)])
        tags = [{"Key": key, "Value": value} for key, value in wanted.items()]
        ec2.create_tags(Resources=[physical_id], Tags=tags)


class LaunchTemplate(Ec2Kind):
    """AWS::EC2::LaunchTemplate."""

    type = "AWS::EC2::LaunchTemplate"
    name_property = "LaunchTemplateName"
    known: ClassVar[frozenset[str]] = frozenset(
        {"LaunchTemplateData", "LaunchTemplateName", "TagSpecifications", "VersionDescription"}
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        ec2 = region.client("ec2")
        request = {**properties, "LaunchTemplateName": name}
        made = ec2.create_launch_template(**as_operation_takes(ec2, "CreateLaunchTemplate", request))
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        """Make a new version of what was changed; the default one stays the first."""
        parts = ("LaunchTemplateData", "VersionDescription")
        if not before or all(properties.get(part) == before.get(part) for part in parts):
            return
        ec2 = region.client("ec2")
        given = {part: properties[part] for part in parts if part in properties}
        request = {**given, "LaunchTemplateId": physical_id}
        ec2.create_launch_template_version(**as_operation_takes(ec2, "CreateLaunchTemplateVersion", request))

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("ec2").describe_launch_templates(LaunchTemplateIds=[physical_id])
        template = found["LaunchTemplates"][0]
        return {
            "LaunchTemplateId": physical_id,
            "LatestVersionNumber": str(template["LatestVersionNumber"]),
            "DefaultVersionNumber": str(template["DefaultVersionNumber"]),
        }

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("ec2").delete_launch_template(LaunchTemplateId=physical_id)


_DEFAULTS: dict[str, Any] = {
    "DisableApiTermination": False,
    "EbsOptimized": False,
    "InstanceInitiatedShutdownBehavior": "stop",
    "InstanceType": "m1.small",
    "UserData": "",
}


def _request(properties: Properties) -> Iterator[tuple[str, Any]]:
    """Write an instance's properties as RunInstances takes them."""
    given = properties
    for name in given.keys() - {"Tags", "PropagateTagsToVolumeOnCreation"}:
        value = given[name]
        if name == "UserData":
            value = _decoded(value)
        elif name == "IamInstanceProfile":
            value = {"Name": value}
        elif name == "Monitoring":
            value = {"Enabled": value}
        elif name == "LaunchTemplate":
            value = value | {"Version": str(value.get("Version", "$Default"))}
        yield name, value


def _decoded(user_data: str) -> bytes:
    """Undo the base64 of a template: the SDK writes its own."""
    try:
        return base64.b64decode(user_data, validate=True)
    except binascii.Error as error:
        raise ValidationError(message="Invalid BASE64 encoding of user data.") from error


def _modify(ec2: Any, instance: str, name: str, value: Any) -> None:
    if name in ("DisableApiTermination", "EbsOptimized"):
        value = _is_true(value)
    ec2.modify_instance_attribute(InstanceId=instance, **{name: {"Value": value}})


def _change_profile(ec2: Any, instance: str, name: str | None) -> None:
    mine = [{"Name": "instance-id", "Values": [instance]}]
    found = ec2.describe_iam_instance_profile_associations(Filters=mine)["IamInstanceProfileAssociations"]
    for association in found:
        ec2.disassociate_iam_instance_profile(AssociationId=association["AssociationId"])
    if name:
        ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": name})


def _describe(ec2: Any, instance: str) -> Any:
    return ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def _wait_past(ec2: Any, instance: str, state: str) -> None:
    """Wait until an instance has left a state; a quick script may have ended it by then."""
    while _describe(ec2, instance)["State"]["Name"] == state:
        time.sleep(_WAIT["Delay"])


def as_operation_takes(ec2: Any, operation: str, request: Mapping[str, Any]) -> Any:
    """Give the values of a template the types that the API takes, and refuse what it does not have."""
    return _as_shape(ec2.meta.service_model.operation_model(operation).input_shape, request, "#")


def _as_shape(shape: Any, value: Any, place: str) -> Any:
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            refuse_extraneous(shape.name, place, value.keys() - shape.members.keys())
            return {
                name: _as_shape(shape.members[name], one, f"{place}/{name}") for name, one in value.items()
            }
        case "list" if isinstance(value, list):
            return [_as_shape(shape.member, one, f"{place}/{number}") for number, one in enumerate(value)]
        case "boolean":
            return _is_true(value)
        case "integer" | "long":
            return int(value)
        case "string" if not isinstance(value, bytes | dict | list):
            return str(value)
    return value


def refuse_extraneous(resource: str, place: str, names: set[str]) -> None:
    """Refuse properties that a resource does not have, in EC2's words."""
    if names:
        raise ValidationError(
            message=f"Properties validation failed for resource {resource} with message:"
            f" [{place}: extraneous key [{min(names)}] is not permitted]"
        )


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"

"""EventBridge, Scheduler, CloudWatch Logs and SageMaker's registry in stacks."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import (
    Kind,
    Properties,
    Region,
    as_json,
    tag_list,
    tag_map,
)


class Rule(Kind):
    """AWS::Events::Rule."""

    type = "AWS::Events::Rule"
    name_property = "Name"
    fixed = ("EventBusName",)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        self._put(region, name[:64], properties)
        return name[:64]

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        events = region.client("events")
        bus = _bus(properties)
        if before:
            self._put(region, physical_id, properties)
        stale = _target_ids(before) - _target_ids(properties)
        if stale:
            events.remove_targets(Rule=physical_id, Ids=sorted(stale), **bus)
        if properties.get("Targets"):
            events.put_targets(Rule=physical_id, Targets=properties["Targets"], **bus)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"Arn": region.client("events").describe_rule(Name=physical_id)["Arn"]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        events = region.client("events")
        if _target_ids(properties):
            events.remove_targets(Rule=physical_id, Ids=sorted(_target_ids(properties)), **_bus(properties))
        events.delete_rule(Name=physical_id, **_bus(properties))

    def _put(self, region: Region, name: str, properties: Properties) -> None:
        wanted: dict[str, Any] = {
            key: properties[key]
            for key in ("ScheduleExpression", "State", "Description")
            if key in properties
        }
        if "EventPattern" in properties:
            wanted["EventPattern"] = as_json(properties["EventPattern"])
        region.client("events").put_rule(Name=name, **wanted, **_bus(properties))


class Schedule(Kind):
    """AWS::Scheduler::Schedule."""

    type = "AWS::Scheduler::Schedule"
    name_property = "Name"
    fixed = ("GroupName",)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        wanted = {key: value for key, value in properties.items() if key != "Name"}
        region.client("scheduler").create_schedule(Name=name[:64], **wanted)
        return name[:64]

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if before:
            wanted = {key: value for key, value in properties.items() if key != "Name"}
            region.client("scheduler").update_schedule(Name=physical_id, **wanted)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"Arn": region.client("scheduler").get_schedule(Name=physical_id)["Arn"]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        group = {"GroupName": properties["GroupName"]} if "GroupName" in properties else {}
        region.client("scheduler").delete_schedule(Name=physical_id, **group)


class LogGroup(Kind):
    """AWS::Logs::LogGroup."""

    type = "AWS::Logs::LogGroup"
    name_property = "LogGroupName"

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        tags = {"tags": tag_map(properties)} if tag_map(properties) else {}
        region.client("logs").create_log_group(logGroupName=name, **tags)
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        logs = region.client("logs")
        if "RetentionInDays" in properties:
            days = int(properties["RetentionInDays"])
            logs.put_retention_policy(logGroupName=physical_id, retentionInDays=days)
        elif "RetentionInDays" in before:
            logs.delete_retention_policy(logGroupName=physical_id)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("logs").describe_log_groups(logGroupNamePrefix=physical_id)["logGroups"]
        return {"Arn": next(group["arn"] for group in found if group["logGroupName"] == physical_id)}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("logs").delete_log_group(logGroupName=physical_id)


class ModelPackageGroup(Kind):
    """AWS::SageMaker::ModelPackageGroup."""

    type = "AWS::SageMaker::ModelPackageGroup"
    name_property = "ModelPackageGroupName"
    fixed = ("ModelPackageGroupDescription",)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        description = properties.get("ModelPackageGroupDescription")
        made = region.client("sagemaker").create_model_package_group(
            ModelPackageGroupName=name,
            Tags=tag_list(properties),
            **({"ModelPackageGroupDescription": description} if description else {}),
        )
        return str(made["ModelPackageGroupArn"])

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        name = physical_id.rsplit("/", 1)[1]
        found = region.client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
        return {
            "ModelPackageGroupArn": physical_id,
            "ModelPackageGroupStatus": found["ModelPackageGroupStatus"],
            "CreationTime": found["CreationTime"].isoformat(),
        }

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        name = physical_id.rsplit("/", 1)[1]
        region.client("sagemaker").delete_model_package_group(ModelPackageGroupName=name)


def _bus(properties: Properties) -> dict[str, str]:
    return {"EventBusName": properties["EventBusName"]} if "EventBusName" in properties else {}


def _target_ids(properties: Properties) -> set[str]:
    return {target["Id"] for target in properties.get("Targets", [])}

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
    """AWS::Scheduler::Schedule; what becomes of one that has ended is told to its API only."""

    type = "AWS::Scheduler::Schedule"
    name_property = "Name"
    fixed = ("GroupName",)
    known = frozenset(
        {
            "Description",
            "EndDate",
            "FlexibleTimeWindow",
            "GroupName",
            "KmsKeyArn",
            "Name",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "StartDate",
            "State",
            "Target",
        }
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        region.client("scheduler").create_schedule(**_schedule(name[:64], properties))
        return name[:64]

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if before:
            region.client("scheduler").update_schedule(**_schedule(physical_id, properties))

    @override
    def attributes_of(self, region: Region, physical_id: str, properties: Properties) -> dict[str, str]:
        found = region.client("scheduler").get_schedule(Name=physical_id, **_group(properties))
        return {"Arn": found["Arn"]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("scheduler").delete_schedule(Name=physical_id, **_group(properties))


class ScheduleGroup(Kind):
    """AWS::Scheduler::ScheduleGroup."""

    type = "AWS::Scheduler::ScheduleGroup"
    name_property = "Name"
    known = frozenset({"Name", "Tags"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        region.client("scheduler").create_schedule_group(Name=name[:64], Tags=tag_list(properties))
        return name[:64]

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        scheduler = region.client("scheduler")
        arn = scheduler.get_schedule_group(Name=physical_id)["Arn"]
        stale = tag_map(before).keys() - tag_map(properties).keys()
        if stale:
            scheduler.untag_resource(ResourceArn=arn, TagKeys=sorted(stale))
        if before and tag_map(properties):
            scheduler.tag_resource(ResourceArn=arn, Tags=tag_list(properties))

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("scheduler").get_schedule_group(Name=physical_id)
        dates = {name: found[name].isoformat() for name in ("CreationDate", "LastModificationDate")}
        return {"Arn": found["Arn"], "State": found["State"], **dates}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("scheduler").delete_schedule_group(Name=physical_id)


class LogGroup(Kind):
    """AWS::Logs::LogGroup."""

    type = "AWS::Logs::LogGroup"
    name_property = "LogGroupName"
    # In the cloud a group can be given another key; moto cannot.
    fixed = ("KmsKeyId",)
    known = frozenset({*fixed, name_property, "RetentionInDays", "Tags"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        tags = {"tags": tag_map(properties)} if tag_map(properties) else {}
        key = {"kmsKeyId": properties["KmsKeyId"]} if "KmsKeyId" in properties else {}
        region.client("logs").create_log_group(logGroupName=name, **tags, **key)
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


def _schedule(name: str, properties: Properties) -> dict[str, Any]:
    """Write a schedule as its API takes it: numbers of a template may be text."""
    wanted = {"Name": name} | {key: value for key, value in properties.items() if key != "Name"}
    window, target = dict(wanted["FlexibleTimeWindow"]), dict(wanted["Target"])
    if "MaximumWindowInMinutes" in window:
        window["MaximumWindowInMinutes"] = int(window["MaximumWindowInMinutes"])
    if "RetryPolicy" in target:
        target["RetryPolicy"] = {key: int(value) for key, value in target["RetryPolicy"].items()}
    return wanted | {"FlexibleTimeWindow": window, "Target": target}


def _group(properties: Properties) -> dict[str, str]:
    return {"GroupName": properties["GroupName"]} if "GroupName" in properties else {}


def _bus(properties: Properties) -> dict[str, str]:
    return {"EventBusName": properties["EventBusName"]} if "EventBusName" in properties else {}


def _target_ids(properties: Properties) -> set[str]:
    return {target["Id"] for target in properties.get("Targets", [])}

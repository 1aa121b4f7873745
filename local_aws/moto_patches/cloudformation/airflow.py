"""MWAA in stacks."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError
from moto.cloudformation.exceptions import ValidationError
from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import Kind, Properties, Region, as_text, tag_map

_NUMBERS = ("MaxWebservers", "MaxWorkers", "MinWebservers", "MinWorkers", "Schedulers")
_ONLY_AT_CREATION = ("EndpointManagement", "KmsKey")
_GOING_ON = ("CREATING", "DELETING", "MAINTENANCE", "ROLLING_BACK", "UPDATING")
_LOOK_S = 0.2


class Environment(Kind):
    """AWS::MWAA::Environment."""

    type = "AWS::MWAA::Environment"
    name_property = "Name"
    fixed = _ONLY_AT_CREATION
    known = frozenset(
        {
            *_ONLY_AT_CREATION,
            *_NUMBERS,
            "AirflowConfigurationOptions",
            "AirflowVersion",
            "DagS3Path",
            "EnvironmentClass",
            "ExecutionRoleArn",
            "LoggingConfiguration",
            "Name",
            "NetworkConfiguration",
            "PluginsS3ObjectVersion",
            "PluginsS3Path",
            "RequirementsS3ObjectVersion",
            "RequirementsS3Path",
            "SourceBucketArn",
            "StartupScriptS3ObjectVersion",
            "StartupScriptS3Path",
            "Tags",
            "WebserverAccessMode",
            "WeeklyMaintenanceWindowStart",
            "WorkerReplacementStrategy",
        }
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        wanted = _request(properties)
        wanted.pop("WorkerReplacementStrategy", None)  # is a matter of updates
        tags = {"Tags": _tags(properties)} if _tags(properties) else {}
        region.client("mwaa").create_environment(**{**wanted, **tags, "Name": name})
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        mwaa = region.client("mwaa")
        if before:
            self._update(mwaa, physical_id, properties, before)
        found = _settled(mwaa, physical_id)
        if found["Status"] != "AVAILABLE":
            error = found.get("LastUpdate", {}).get("Error", {}).get("ErrorMessage", "")
            raise ValidationError(message=f"Environment {physical_id} is {found['Status']}: {error}")

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("mwaa").get_environment(Name=physical_id)["Environment"]
        return {"Arn": found["Arn"], "WebserverUrl": found["WebserverUrl"]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        mwaa = region.client("mwaa")
        try:
            _settled(mwaa, physical_id)
            mwaa.delete_environment(Name=physical_id)
            _settled(mwaa, physical_id)
        except mwaa.exceptions.ResourceNotFoundException:
            return  # it is gone, which is what was wanted

    @override
    def needs_replacement(self, properties: Properties, before: Properties) -> bool:
        subnets, earlier = (given["NetworkConfiguration"].get("SubnetIds") for given in (properties, before))
        return subnets != earlier or super().needs_replacement(properties, before)

    def _update(self, mwaa: Any, name: str, properties: Properties, before: Properties) -> None:
        wanted = {key: value for key, value in _request(properties).items() if key not in _ONLY_AT_CREATION}
        # Options that a template no longer has are taken away.
        wanted.setdefault("AirflowConfigurationOptions", {})
        groups = properties["NetworkConfiguration"]["SecurityGroupIds"]
        wanted["NetworkConfiguration"] = {"SecurityGroupIds": groups}
        _settled(mwaa, name)
        try:
            arn = mwaa.update_environment(**{**wanted, "Name": name})["Arn"]
        except ClientError as error:
            raise ValidationError(message=error.response["Error"]["Message"]) from error
        stale = _tags(before).keys() - _tags(properties).keys()
        if stale:
            mwaa.untag_resource(ResourceArn=arn, tagKeys=sorted(stale))
        if _tags(properties):
            mwaa.tag_resource(ResourceArn=arn, Tags=_tags(properties))


def _settled(mwaa: Any, name: str) -> dict[str, Any]:
    """Wait until nothing is going on with an environment, and describe it."""
    while True:
        found: dict[str, Any] = mwaa.get_environment(Name=name)["Environment"]
        if found["Status"] not in _GOING_ON:
            return found
        time.sleep(_LOOK_S)


def _request(properties: Properties) -> dict[str, Any]:
    """Write the properties as the API takes them: numbers and switches of a template may be text."""
    wanted = {key: value for key, value in properties.items() if key not in ("Name", "Tags")}
    wanted |= {key: int(wanted[key]) for key in _NUMBERS if key in wanted}
    if "AirflowConfigurationOptions" in wanted:
        options = wanted["AirflowConfigurationOptions"]
        wanted["AirflowConfigurationOptions"] = {key: as_text(value) for key, value in options.items()}
    if "LoggingConfiguration" in wanted:
        logging = wanted["LoggingConfiguration"]
        wanted["LoggingConfiguration"] = {name: _log(settings) for name, settings in logging.items()}
    return wanted


def _log(settings: Properties) -> dict[str, Any]:
    told = {key: value for key, value in settings.items() if key != "CloudWatchLogGroupArn"}
    return {**told, "Enabled": as_text(told.get("Enabled", False)) == "true"}


def _tags(properties: Properties) -> dict[str, str]:
    """Read the property Tags, which is a mapping here and a list for most other types."""
    tags = properties.get("Tags", {})
    return (
        {key: as_text(value) for key, value in tags.items()}
        if isinstance(tags, dict)
        else tag_map(properties)
    )

"""The CloudFormation stack of a launch: template, parameters, tags, and what the instance runs first."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from vigil.aws import content_hash
from vigil.errors import SettingsError
from vigil.paths import configs_dir, jobs_dir
from vigil.settings import Settings
from vigil.stacks.deadline import deadline_of, schedule_minute
from vigil.stacks.inventory import (
    DAG_TAG,
    DEADLINE_TAG,
    DETACHED_TAG,
    ENVIRONMENT_TAG,
    JOB_TAG,
    LAUNCH_TAG,
    RUN_TAG,
    as_tag,
    write_moment,
)
from vigil.stacks.launch import Launch

_INSTANCE = "Instance"
_BOOTSTRAP = "bootstrap_training_stack.sh"
_TAG_LIMIT = 256
# trn1 is none.
_BURSTABLE = re.compile(r"t\d")


@dataclass(frozen=True)
class Ground:
    """What a training stack stands on, made once for an environment by `deploy/training-stacks.yaml`.

    Attributes:
        environment: name of it.
        region: of everything.
        stack_role_arn: role of CloudFormation.
        schedule_role_arn: role of the schedule that deletes the stack.
        schedule_group: group of that schedule.
        schedule_dead_letter_arn: queue that hears of deletions that did not come about.
        instance_boundary_arn: permissions boundary of the instance's role.
    """

    environment: str
    region: str
    stack_role_arn: str
    schedule_role_arn: str
    schedule_group: str
    schedule_dead_letter_arn: str
    instance_boundary_arn: str

    @property
    def instance_role_path(self) -> str:
        """Return the path that the roles of instances lie under."""
        return f"/vigil/{self.environment}/training-stacks/"


def ground_of(settings: Settings, region: str) -> Ground:
    """Return what training stacks stand on.

    Raises:
        SettingsError: a setting is missing; the message names every one.
    """
    wanted = {
        "training_stack_role_arn": settings.training_stack_role_arn,
        "schedule_role_arn": settings.schedule_role_arn,
        "schedule_group": settings.schedule_group,
        "schedule_dead_letter_arn": settings.schedule_dead_letter_arn,
        "instance_boundary_arn": settings.instance_boundary_arn,
    }
    missing = [name for name, value in wanted.items() if value is None]
    if missing:
        raise SettingsError(
            f"Training stacks need the settings {', '.join(missing)}: deploy deploy/training-stacks.yaml and "
            "set them from its outputs."
        )
    given = {name.removeprefix("training_"): str(value) for name, value in wanted.items()}
    return Ground(environment=settings.environment, region=region, **given)


@dataclass(frozen=True)
class StackRequest:
    """What CloudFormation is asked to make of a launch.

    Attributes:
        template: body, as JSON.
        parameters: of the template.
        tags: of the stack.
        deadline: when the stack ends at the latest; naive UTC.
    """

    template: str
    parameters: dict[str, str]
    tags: dict[str, str]
    deadline: datetime

    def arguments(self) -> dict[str, Any]:
        """Return what CreateStack and UpdateStack have in common."""
        return {
            "TemplateBody": self.template,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()
            ],
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
            "Capabilities": ["CAPABILITY_IAM"],
        }


def stack_request(launch: Launch, ground: Ground, now: datetime) -> StackRequest:
    """Return the stack of a launch that begins now.

    Args:
        launch: what is launched.
        ground: what the stack stands on.
        now: moment of the launch, which the deadline is reckoned from; naive UTC.
    """
    deadline = deadline_of(launch.allowance, now)
    return StackRequest(
        template=_template(launch),
        parameters=_parameters(launch, ground, deadline, now),
        tags=_tags(launch, ground, deadline),
        deadline=deadline,
    )


def _template(launch: Launch) -> str:
    file = configs_dir() / "cloudformation" / "training-stack.yaml"
    template = yaml.safe_load(file.read_text(encoding="utf-8"))
    name = f"{_INSTANCE}{content_hash([launch.id])}"
    template["Resources"][name] = template["Resources"].pop(_INSTANCE)
    template["Outputs"]["InstanceId"]["Value"] = {"Ref": name}
    return json.dumps(template)


def _parameters(launch: Launch, ground: Ground, deadline: datetime, now: datetime) -> dict[str, str]:
    config = launch.config
    bucket = f"arn:{_partition(ground)}:s3:::{launch.bucket}"
    readable = [f"{launch.job_folder.key}/", *config.read_prefixes]
    spot_price = config.spot_max_price or launch.price.instance_usd
    return {
        "UserData": user_data(launch, ground.region, deadline, now),
        "ImageId": launch.image.id,
        "RootDevice": launch.image.root_device,
        "InstanceType": config.instance_type,
        "VolumeSizeGb": str(config.volume_size_gb),
        "VolumeType": config.volume_type,
        "SpotMaxPrice": f"{spot_price:.6f}" if config.purchase == "spot" else "",
        "SubnetId": config.subnet_id or "",
        "SecurityGroupId": config.security_group_id or "",
        "IsBurstable": str(bool(_BURSTABLE.match(config.instance_type))).lower(),
        "KeyPairName": config.ec2_keypair_name or "",
        "InstanceProfileName": config.instance_iam_role_name or "",
        "InstanceRolePath": ground.instance_role_path,
        "InstanceBoundaryArn": ground.instance_boundary_arn,
        "BucketArn": bucket,
        "JobFolderArn": f"{bucket}/{launch.job_folder.key}/*",
        "ReadableArns": ",".join(f"{bucket}/{prefix}*" for prefix in readable),
        "ListablePrefixes": ",".join(f"{prefix}*" for prefix in readable),
        "DeleteAt": schedule_minute(deadline, now).strftime("%Y-%m-%dT%H:%M:00"),
        "ScheduleRoleArn": ground.schedule_role_arn,
        "ScheduleGroup": ground.schedule_group,
        "ScheduleDeadLetterArn": ground.schedule_dead_letter_arn,
        "JobName": launch.name,
        "Environment": ground.environment,
        "Launch": launch.id,
        "Deadline": write_moment(deadline),
    }


def _tags(launch: Launch, ground: Ground, deadline: datetime) -> dict[str, str]:
    tags = launch.config.tags | {
        JOB_TAG: launch.name,
        ENVIRONMENT_TAG: ground.environment,
        LAUNCH_TAG: launch.id,
        DAG_TAG: as_tag(launch.dag_id),
        RUN_TAG: as_tag(launch.run_id),
        DEADLINE_TAG: write_moment(deadline),
        DETACHED_TAG: str(launch.config.detach_on_kill).lower(),
        "vigil:hourly-price-usd": f"{launch.price.usd:.6f}",
        "vigil:ends-by": f"{launch.config.termination_method.value}: {launch.allowance.limited_by}",
    }
    too_long = [key for key, value in tags.items() if len(value) > _TAG_LIMIT]
    if too_long:
        raise SettingsError(f"AWS takes no tags this long: {', '.join(too_long)}. Name the run shorter.")
    return tags


def user_data(launch: Launch, region: str, deadline: datetime, now: datetime) -> str:
    """Return the shell script that the instance runs when it first boots."""
    variables = {
        "SECONDS_LEFT": str(int((deadline - now).total_seconds())),
        "FOLDER": str(launch.folder),
        "DEADLINE": write_moment(deadline),
        "REGION": region,
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    body = (jobs_dir() / _BOOTSTRAP).read_text(encoding="utf-8")
    return "\n".join(["#!/bin/bash", *lines, body])


def _partition(ground: Ground) -> str:
    return ground.stack_role_arn.split(":")[1]

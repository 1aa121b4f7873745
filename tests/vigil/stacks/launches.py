"""Launches of small scripts on the embedded AWS, with what they stand on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.stacks.config import parse_config
from vigil.stacks.inventory import TrainingInstance, TrainingStack, find_stack, instances_of_launch
from vigil.stacks.launch import Launch
from vigil.stacks.launching import launch_or_adopt
from vigil.stacks.outcome import Outcome, outcome_of
from vigil.stacks.resolving import put_on_s3, settle_launch
from vigil.stacks.template import Ground, StackRequest
from vigil.windows import now

TEMPLATE = Path(__file__).resolve().parents[3] / "deploy" / "training-stacks.yaml"
REGION = "eu-west-1"
END_LIMIT_S = 60.0
HOURS_A_SECOND = 1 / 3600


def make_ground(aws: Aws, bucket: str) -> Ground:
    """Make what training stacks stand on, by the project's own template."""
    environment = f"t{uuid.uuid4().hex[:8]}"
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=f"training-stacks-{environment}",
        TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
        Parameters=[
            {"ParameterKey": "Environment", "ParameterValue": environment},
            {"ParameterKey": "BucketName", "ParameterValue": bucket},
            {"ParameterKey": "KeyArn", "ParameterValue": f"arn:aws:kms:{REGION}:123456789012:key/any"},
        ],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (made,) = cloudformation.describe_stacks(StackName=f"training-stacks-{environment}")["Stacks"]
    assert made["StackStatus"] == "CREATE_COMPLETE", made
    outputs = {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}
    return Ground(
        environment=environment,
        region=REGION,
        stack_role_arn=outputs["StackRoleArn"],
        schedule_role_arn=outputs["SchedulerRoleArn"],
        schedule_group=outputs["ScheduleGroupName"],
        schedule_dead_letter_arn=outputs["DeleteDeadLetterQueueArn"],
        instance_boundary_arn=outputs["InstanceBoundaryArn"],
    )


@dataclass(frozen=True)
class Launcher:
    """Launches scripts as the operator does, and looks at what becomes of them."""

    aws: Aws
    ground: Ground
    bucket: str

    def settle(self, script: str, *, run: str = "", **changes: Any) -> Launch:
        """Settle a launch of a script.

        Args:
            script: its text.
            run: name of the run; a fresh one if none is given.
            changes: of the configuration, with underscores for hyphens.
        """
        name = f"scripts/{uuid.uuid4().hex}.sh"
        self.aws.client("s3").put_object(Bucket=self.bucket, Key=name, Body=script.encode())
        said: dict[str, Any] = {
            "training-job-name": f"job-{uuid.uuid4().hex[:8]}",
            "termination-method": "on-complete",
            "training-script-filename": name,
            "s3-training-bucket": self.bucket,
            "instance-type": "t3.medium",
            "grace-seconds": 1,
            "upload-every-seconds": 1,
        }
        said |= {key.replace("_", "-"): value for key, value in changes.items()}
        launch, source = settle_launch(
            self.aws,
            parse_config({"a test": said}),
            bucket=self.bucket,
            dag_id="launch_training_stack",
            run_id=run or f"test__{uuid.uuid4().hex[:8]}",
            now=now(),
        )
        put_on_s3(self.aws.client("s3"), launch, source)
        return launch

    def launch(self, launch: Launch) -> TrainingStack:
        """Launch, or adopt."""
        return launch_or_adopt(
            self.aws, launch, self.ground, since=now() - timedelta(hours=1), clock=now, poll_s=0.1
        )

    def make(self, launch: Launch, request: StackRequest) -> TrainingStack:
        """Have CloudFormation make a stack that the test has changed."""
        cloudformation = self.aws.client("cloudformation")
        made = cloudformation.create_stack(
            StackName=launch.name,
            RoleARN=self.ground.stack_role_arn,
            OnFailure="DELETE",
            **request.arguments(),
        )
        stack = find_stack(cloudformation, made["StackId"])
        assert stack is not None
        assert stack.status == "CREATE_COMPLETE", stack
        return stack

    def ended(self, launch: Launch, stack: TrainingStack, limit_s: float = END_LIMIT_S) -> Outcome:
        """Wait until the instance has ended, and return how."""
        wait_for(lambda: not self.alive(launch), "the end of the instance", limit_s)
        deadline = stack.deadline
        assert deadline is not None
        return outcome_of(self.aws, launch, stack.id, deadline, now())

    def instance(self, launch: Launch) -> TrainingInstance:
        """Return the only instance of a launch."""
        (one,) = instances_of_launch(self.aws.client("ec2"), launch.name, launch.id)
        return one

    def alive(self, launch: Launch) -> list[TrainingInstance]:
        """Return the instances of a launch that still cost something."""
        return [
            one for one in instances_of_launch(self.aws.client("ec2"), launch.name, launch.id) if one.is_alive
        ]

    def status(self, stack: TrainingStack) -> str | None:
        """Return what CloudFormation says of a stack now."""
        found = find_stack(self.aws.client("cloudformation"), stack.id)
        return found.status if found else None

    def read(self, launch: Launch, name: str) -> bytes:
        """Read what a launch keeps."""
        place = launch.folder / name
        body: bytes = self.aws.client("s3").get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        return body

    def keys(self, launch: Launch, below: str = "") -> list[str]:
        """Return the names of what a launch keeps."""
        place = launch.folder / below
        pages = (
            self.aws.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=place.bucket, Prefix=place.key)
        )
        folder = f"{launch.folder.key}/"
        return [item["Key"].removeprefix(folder) for page in pages for item in page.get("Contents", [])]

    def result(self, launch: Launch) -> Mapping[str, Any]:
        """Return what the runner said last."""
        content: Mapping[str, Any] = json.loads(self.read(launch, "result.json"))
        return content

    def log(self, launch: Launch) -> str:
        """Return everything that the script printed and that was kept."""
        return b"".join(self.read(launch, key) for key in sorted(self.keys(launch, "log/"))).decode()

    def delete(self, stack: TrainingStack) -> None:
        """Delete a stack and wait for it."""
        self.aws.client("cloudformation").delete_stack(StackName=stack.id)
        wait_for(lambda: self.status(stack) == "DELETE_COMPLETE", "the deletion", END_LIMIT_S)


def is_over(_: str, __: str) -> bool:
    """Say of every run that it is over."""
    return True


def goes_on(_: str, __: str) -> bool:
    """Say of every run that it goes on."""
    return False

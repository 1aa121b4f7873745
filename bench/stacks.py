"""Training stacks for a benchmark: on a laptop's stack of its own, each with the ends that it is to have."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.stacks import bring_about
from deploy.templates import read_template
from local_stack.airflow import every
from local_stack.lifecycle import bring_down
from local_stack.ports import free_port
from local_stack.stack import REGION, Stack, open_stack
from vigil.aws import Aws
from vigil.settings import parse_settings
from vigil.stacks.config import parse_config
from vigil.stacks.inventory import (
    TrainingInstance,
    failure_reasons,
    find_stack,
    instances_of_launch,
    living_instances,
    training_stacks,
)
from vigil.stacks.launch import Launch
from vigil.stacks.resolving import put_on_s3, settle_launch
from vigil.stacks.template import Ground, StackRequest, ground_of, stack_request
from vigil.windows import now, to_utc

HANGS = "#!/bin/bash\nexec sleep 100000\n"
# Nobody is left but the machine's init, which holds the timers.
KILLS_THE_RUNNER_AND_HANGS = "#!/bin/bash\nkill -9 -1\nexec sleep 100000\n"
AT_ONCE = 4

_SCRIPT = "bench/script.sh"
_LOOK_S = 0.25
_TELL_S = 30.0
_DELETION_LIMIT_S = 120.0


@dataclasses.dataclass(frozen=True)
class Launched:
    """A stack that was made.

    Attributes:
        launch: that it serves.
        stack_id: ARN.
        at: moment that the deadline is reckoned from; naive UTC.
        deadline: when it is to end at the latest; naive UTC.
    """

    launch: Launch
    stack_id: str
    at: datetime
    deadline: datetime

    def lateness_s(self, moment: datetime) -> float:
        """Return the seconds from the deadline to a moment, negative before it."""
        return (moment - self.deadline).total_seconds()


@dataclasses.dataclass(frozen=True)
class Place:
    """Where training stacks are launched: an environment that one sweep looks at.

    Attributes:
        aws: clients.
        ground: what the stacks stand on.
        bucket: of scripts and logs.
    """

    aws: Aws
    ground: Ground
    bucket: str

    def settle(self, job: str, script: str, run: str, **said: Any) -> Launch:
        """Settle a launch of a script.

        Args:
            job: name of it.
            script: its text.
            run: name of the run of `launch_training_stack` that it is said to be of.
            said: in the configuration, with underscores for hyphens.
        """
        s3 = self.aws.client("s3")
        s3.put_object(Bucket=self.bucket, Key=_SCRIPT, Body=script.encode())
        config = {
            "training-job-name": job,
            "training-script-filename": _SCRIPT,
            "s3-training-bucket": self.bucket,
            "grace-seconds": 1,
            **{key.replace("_", "-"): value for key, value in said.items()},
        }
        launch, source = settle_launch(
            self.aws,
            parse_config({"the benchmark": config}),
            bucket=self.bucket,
            dag_id="launch_training_stack",
            run_id=run,
            now=now(),
        )
        put_on_s3(s3, launch, source)
        return launch

    def launch(self, launch: Launch, *, timer: bool = True, schedule: bool = True) -> Launched:
        """Make the stack of a launch, with the ends that it is to have.

        Raises:
            RuntimeError: it could not be made; the message says why.
        """
        launched = self.create(launch, timer=timer, schedule=schedule)
        cloudformation = self.aws.client("cloudformation")
        stack = find_stack(cloudformation, launched.stack_id)
        if stack is None or stack.status != "CREATE_COMPLETE":
            raise RuntimeError(f"{launch.name}: {failure_reasons(cloudformation, launched.stack_id)}")
        return launched

    def create(self, launch: Launch, *, timer: bool, schedule: bool) -> Launched:
        """Ask CloudFormation for the stack of a launch; what becomes of it is not looked at."""
        at = now()
        request = stack_request(launch, self.ground, at)
        if not timer:
            request = _without_timer(request)
        if not schedule:
            request = _without_schedule(request)
        made = self.aws.client("cloudformation").create_stack(
            StackName=launch.name,
            RoleARN=self.ground.stack_role_arn,
            OnFailure="DELETE",
            **request.arguments(),
        )
        return Launched(launch, made["StackId"], at, request.deadline)

    def instance(self, launched: Launched) -> TrainingInstance:
        """Return the only instance of a launch."""
        launch = launched.launch
        (one,) = instances_of_launch(self.aws.client("ec2"), launch.name, launch.id)
        return one

    def status(self, launched: Launched) -> str:
        """Return what CloudFormation says of a stack now."""
        stack = find_stack(self.aws.client("cloudformation"), launched.stack_id)
        if stack is None:
            raise RuntimeError(f"CloudFormation has forgotten {launched.stack_id}")
        return stack.status

    def event(self, launched: Launched, kind: str, status: str) -> datetime:
        """Return when the stack, or the resource of a type in it, first came into a state; naive UTC."""
        pages = (
            self.aws.client("cloudformation")
            .get_paginator("describe_stack_events")
            .paginate(StackName=launched.stack_id)
        )
        moments = [
            to_utc(event["Timestamp"])
            for page in pages
            for event in page["StackEvents"]
            if (event["ResourceType"], event["ResourceStatus"]) == (kind, status)
        ]
        if not moments:
            raise RuntimeError(f"{launched.launch.name}: no {kind} was ever {status}")
        return min(moments)

    def living(self) -> list[TrainingInstance]:
        """Return the instances of the environment that still cost something."""
        return living_instances(self.aws.client("ec2"), self.ground.environment)

    def is_empty(self) -> bool:
        """Tell whether no stack and no instance of the environment is left."""
        stacks = training_stacks(self.aws.client("cloudformation"), self.ground.environment)
        return not stacks and not self.living()

    def clear(self) -> None:
        """Delete every training stack of the environment, and wait until nothing of them is left."""
        cloudformation = self.aws.client("cloudformation")
        left = training_stacks(cloudformation, self.ground.environment)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda stack: cloudformation.delete_stack(StackName=stack.id), left))
        wait_until(self.is_empty, _DELETION_LIMIT_S, f"{self.ground.environment} to be empty")


def own_stack(folder: Path) -> Stack:
    """Return a new stack under a folder, on ports that no other stack wants."""
    if folder.exists():
        bring_down(open_stack(folder))
        shutil.rmtree(folder)
    ports = {name: free_port() for name in open_stack(folder).ports}
    (folder / "ports.json").write_text(json.dumps(ports, indent=2))
    return open_stack(folder)


def airflows_ground(stack: Stack) -> Ground:
    """Return what the training stacks of the stack's Airflow stand on; its sweep looks at these."""
    return ground_of(parse_settings(json.loads(stack.settings_file.read_text())), REGION)


def ground_apart(aws: Aws, environment: str, bucket: str) -> Ground:
    """Make the ground of another environment, by the same template; no sweep of Airflow's looks at it."""
    key = aws.client("kms").describe_key(KeyId="alias/vigil-local")["KeyMetadata"]["Arn"]
    known = {"BucketName": bucket, "KeyArn": key}
    template = read_template("training-stacks")
    outputs = bring_about(aws.client("cloudformation"), environment, template, known, poll_s=1)
    return Ground(
        environment=environment,
        region=REGION,
        stack_role_arn=outputs["StackRoleArn"],
        schedule_role_arn=outputs["SchedulerRoleArn"],
        schedule_group=outputs["ScheduleGroupName"],
        schedule_dead_letter_arn=outputs["DeleteDeadLetterQueueArn"],
        instance_boundary_arn=outputs["InstanceBoundaryArn"],
    )


def renamed(launch: Launch, number: int) -> Launch:
    """Return the same launch under another name and id."""
    config = launch.config.model_copy(update={"training_job_name": f"{launch.name}-{number:02d}"})
    return dataclasses.replace(launch, id=f"{launch.id}{number:02d}", config=config)


def wait_until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Wait for a condition, and tell now and then that it is waited for.

    Raises:
        TimeoutError: it does not come true within the limit.
    """
    began = told = time.monotonic()
    for _ in every(_LOOK_S, limit_s, what):
        if condition():
            return
        if time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            tell(f"  waiting for {what}: {told - began:.0f} s of at most {limit_s:.0f} s")


def tell(line: str) -> None:
    """Print a line at once, also where the output is no terminal."""
    print(line, flush=True)


def _without_timer(request: StackRequest) -> StackRequest:
    """Let the machine arm nothing, fetch nothing, and hang."""
    return dataclasses.replace(request, parameters=request.parameters | {"UserData": HANGS})


def _without_schedule(request: StackRequest) -> StackRequest:
    template = json.loads(request.template)
    del template["Resources"]["DeleteSchedule"]
    for resource in template["Resources"].values():
        resource.pop("DependsOn", None)
    for name in ("DeleteAt", "ScheduleRoleArn", "ScheduleGroup", "ScheduleDeadLetterArn"):
        del template["Parameters"][name]
    parameters = {name: value for name, value in request.parameters.items() if name in template["Parameters"]}
    return dataclasses.replace(request, template=json.dumps(template), parameters=parameters)

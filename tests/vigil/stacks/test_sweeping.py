"""What a sweep finds, what it leaves alone, and that one stack's trouble is no other's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from tests.vigil.stacks.launches import Launcher, goes_on, is_over, make_ground
from tests.waiting import wait_for
from vigil.stacks.inventory import DEADLINE_TAG, TrainingStack, find_stack
from vigil.stacks.launch import Launch
from vigil.stacks.sweeping import Swept, sweep
from vigil.stacks.template import stack_request
from vigil.windows import now

HANGS = "#!/bin/bash\nsleep 1000\n"
Fail = Callable[..., None]


@pytest.fixture
def fail(local_aws: str) -> Iterator[Fail]:
    """Let the next calls of an operation fail."""

    def fail(service: str, operation: str, error: str, times: int = 1) -> None:
        fault = {"service": service, "operation": operation, "error": error, "times": times}
        requests.post(f"{local_aws}/_faults", json=fault, timeout=10).raise_for_status()

    yield fail
    requests.delete(f"{local_aws}/_faults", timeout=10).raise_for_status()


def running(launcher: Launcher, **changes: Any) -> tuple[Launch, TrainingStack]:
    launch = launcher.settle(HANGS, **changes)
    return launch, launcher.launch(launch)


def swept(launcher: Launcher, over: Callable[[str, str], bool] = goes_on, later_h: float = 0) -> list[Swept]:
    def clock() -> Any:
        return now() + timedelta(hours=later_h)

    return sweep(launcher.aws, launcher.ground.environment, over, clock)


def is_gone(launcher: Launcher, launch: Launch, stack: TrainingStack) -> bool:
    return launcher.status(stack) == "DELETE_COMPLETE" and not launcher.alive(launch)


def test_what_runs_in_time_for_a_run_that_goes_on_is_left_alone(launcher: Launcher) -> None:
    _, stack = running(launcher)
    assert swept(launcher) == []
    launcher.delete(stack)


def test_another_environments_stacks_are_left_alone(launcher: Launcher) -> None:
    launch, stack = running(launcher)
    other = Launcher(launcher.aws, make_ground(launcher.aws, launcher.bucket), launcher.bucket)
    assert swept(other, is_over, later_h=1000) == []
    assert launcher.alive(launch)
    launcher.delete(stack)


def test_a_stack_whose_deadline_nobody_can_read_is_ended(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    request = stack_request(launch, launcher.ground, now())
    spoilt = dataclasses.replace(request, tags=request.tags | {DEADLINE_TAG: "whenever"})
    stack = launcher.make(launch, spoilt)
    assert "missing or spoilt" in swept(launcher)[0].why
    wait_for(lambda: is_gone(launcher, launch, stack), "the end")


def test_a_deletion_that_failed_is_tried_again_and_its_instance_terminated(
    launcher: Launcher, fail: Fail
) -> None:
    launch, stack = running(launcher)
    fail("ec2", "TerminateInstances", "UnauthorizedOperation")
    launcher.aws.client("cloudformation").delete_stack(StackName=stack.id)
    wait_for(lambda: launcher.status(stack) == "DELETE_FAILED", "the failure")
    assert launcher.alive(launch)
    assert {one.what for one in swept(launcher)} == {launcher.instance(launch).id, stack.id}
    wait_for(lambda: is_gone(launcher, launch, stack), "the end")


def test_what_a_rolled_back_launch_has_left_is_deleted(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, security_group_id="sg-0123456789abcdef0")
    request = stack_request(launch, launcher.ground, now())
    cloudformation = launcher.aws.client("cloudformation")
    cloudformation.create_stack(StackName=launch.name, OnFailure="ROLLBACK", **request.arguments())
    assert [one.why for one in swept(launcher)] == ["it is what ROLLBACK_COMPLETE has left"]
    wait_for(lambda: find_stack(cloudformation, launch.name) is None, "the deletion")


def test_an_instance_whose_stack_is_gone_is_terminated(launcher: Launcher) -> None:
    launch, stack = running(launcher)
    (found,) = launcher.aws.client("ec2").describe_instances(InstanceIds=[launcher.instance(launch).id])[
        "Reservations"
    ]
    tags = [tag for tag in found["Instances"][0]["Tags"] if not tag["Key"].startswith("aws:")]
    (stray,) = launcher.aws.client("ec2").run_instances(
        ImageId=launch.image.id,
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.medium",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"]
    assert [(one.what, one.why) for one in swept(launcher)] == [(stray["InstanceId"], "it has no stack")]
    launcher.delete(stack)


def test_a_call_that_aws_does_not_take_is_told_and_holds_up_no_other(launcher: Launcher, fail: Fail) -> None:
    first, second = running(launcher), running(launcher)
    fail("cloudformation", "DeleteStack", "AccessDenied")
    told = [one for one in swept(launcher, is_over) if one.what in (first[1].id, second[1].id)]
    assert len([one for one in told if one.error]) == 1
    assert "AccessDenied" in next(one.error for one in told if one.error)
    wait_for(lambda: not launcher.alive(first[0]) and not launcher.alive(second[0]), "the instances' end")
    swept(launcher, is_over)
    wait_for(lambda: is_gone(launcher, *first) and is_gone(launcher, *second), "the end")


def test_a_throttled_sweep_is_patient(launcher: Launcher, fail: Fail) -> None:
    launch, stack = running(launcher)
    fail("cloudformation", "DescribeStacks", "Throttling", times=2)
    fail("cloudformation", "DeleteStack", "Throttling", times=2)
    assert not any(one.error for one in swept(launcher, is_over))
    wait_for(lambda: is_gone(launcher, launch, stack), "the end")


def test_what_a_sweep_has_ended_it_does_not_find_again(launcher: Launcher) -> None:
    launch, stack = running(launcher)
    assert len(swept(launcher, later_h=25)) == 2
    wait_for(lambda: is_gone(launcher, launch, stack), "the end")
    assert swept(launcher, later_h=25) == []
    assert find_stack(launcher.aws.client("cloudformation"), launch.name) is None

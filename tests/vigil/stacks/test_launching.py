"""Launches, retries and what is in their way, on instances that really run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.vigil.stacks.launches import Launcher, make_ground
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.errors import SettingsError
from vigil.stacks.inventory import find_stack, instances_of_launch
from vigil.stacks.launch import Launch
from vigil.stacks.launching import StackInTheWayError, launch_or_adopt
from vigil.stacks.outcome import kept_outcome, last_log_lines, outcome_of
from vigil.stacks.template import stack_request
from vigil.windows import now

HANGS = "#!/bin/bash\nsleep 1000\n"
WRITES = """#!/bin/bash
echo "epoch 1 of $1"
echo "a model" > "$VIGIL_OUTPUT_DIR/model.json"
"""


class Killed(BaseException):
    """Stands for kill -9 of the process that makes an AWS call."""


@contextmanager
def killed_at_call(aws: Aws, number: int, when: str) -> Iterator[list[int]]:
    """Die right before or after the n-th call that CloudFormation gets."""
    made = [0]

    def count(**_: Any) -> None:
        made[0] += 1
        if made[0] == number:
            raise Killed

    events = aws.client("cloudformation").meta.events
    events.register(f"{when}-call.cloudformation", count)
    try:
        yield made
    finally:
        events.unregister(f"{when}-call.cloudformation", count)


def instances(launcher: Launcher, launch: Launch) -> list[str]:
    return [one.id for one in instances_of_launch(launcher.aws.client("ec2"), launch.name, launch.id)]


def test_a_script_runs_to_its_end_and_leaves_log_output_and_result(launcher: Launcher) -> None:
    launch = launcher.settle(WRITES, arguments=["one"])
    stack = launcher.launch(launch)
    outcome = launcher.ended(launch, stack)
    assert outcome.kind == "completed", outcome
    assert outcome.exit_status == 0
    assert launcher.read(launch, "output/model.json") == b"a model\n"
    assert launcher.log(launch) == "epoch 1 of one\n"
    launcher.delete(stack)
    assert outcome.actual_usd <= outcome.estimate_usd


def test_log_and_output_are_on_s3_while_the_script_still_runs(launcher: Launcher) -> None:
    launch = launcher.settle(WRITES + "sleep 1000\n", arguments=["one"])
    stack = launcher.launch(launch)
    wait_for(lambda: launcher.keys(launch, "log/") and launcher.keys(launch, "output/"), "the upload")
    assert launcher.alive(launch)
    launcher.delete(stack)


@pytest.mark.parametrize(
    ("script", "status"),
    [("#!/bin/bash\nexit 3\n", 3), ("#!/bin/bash\nkill -SEGV $$\n", -11), ("#!/no/such/program\n", None)],
)
def test_a_script_that_fails_is_told_with_its_status(
    launcher: Launcher, script: str, status: int | None
) -> None:
    launch = launcher.settle(script)
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == ("lost" if status is None else "script-failed"), outcome
    assert outcome.exit_status == status
    assert not outcome.succeeded


def test_a_script_without_a_first_line_is_run_by_its_ending(launcher: Launcher) -> None:
    name = f"{uuid.uuid4().hex}.py"
    launcher.aws.client("s3").put_object(
        Bucket=launcher.bucket, Key=name, Body=b"import sys; print(sys.argv[1:])"
    )
    launch = launcher.settle("", training_script_filename=name, arguments=["a", "b c"])
    assert launcher.ended(launch, launcher.launch(launch)).kind == "completed"
    assert launcher.log(launch) == "['a', 'b c']\n"


def test_a_retry_adopts_the_running_stack_with_its_deadline(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    first = launcher.launch(launch)
    again = launch_or_adopt(
        launcher.aws,
        launch,
        launcher.ground,
        since=now() - timedelta(hours=1),
        clock=lambda: now() + timedelta(hours=2),
        poll_s=0.1,
    )
    assert again.id == first.id
    assert again.deadline == first.deadline
    assert len(instances(launcher, launch)) == 1
    launcher.delete(first)


def test_a_retry_adopts_a_stack_that_has_ended_since(launcher: Launcher) -> None:
    launch = launcher.settle(WRITES)
    stack = launcher.launch(launch)
    wait_for(lambda: not launcher.alive(launch), "the end")
    launcher.delete(stack)
    again = launcher.launch(launch)
    assert (again.id, again.is_gone) == (stack.id, True)
    assert len(instances(launcher, launch)) == 1
    assert launcher.ended(launch, again).kind == "completed"


@pytest.mark.parametrize("when", ["before", "after"])
def test_whoever_is_killed_at_any_call_has_launched_at_most_once(launcher: Launcher, when: str) -> None:
    for number in range(1, 20):
        launch = launcher.settle(HANGS)
        with killed_at_call(launcher.aws, number, when) as made, suppress(Killed):
            launcher.launch(launch)
        stack = launcher.launch(launch)
        assert len(instances(launcher, launch)) == 1
        launcher.delete(stack)
        if made[0] < number:
            break
    else:
        pytest.fail("there was no end of calls")
    assert number > 2


def test_of_two_launches_of_one_name_at_once_one_is_made_and_the_other_told(launcher: Launcher) -> None:
    name = f"job-{uuid.uuid4().hex[:8]}"
    launches = [launcher.settle(HANGS, training_job_name=name) for _ in range(2)]

    def attempt(launch: Launch) -> str:
        try:
            return launcher.launch(launch).launch or ""
        except StackInTheWayError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(attempt, launches))
    made = [launch.id for launch in launches if launch.id in told]
    assert len(made) == 1, told
    assert [len(launcher.alive(launch)) for launch in launches].count(1) == 1
    stack = find_stack(launcher.aws.client("cloudformation"), name)
    assert stack is not None
    assert stack.launch == made[0]
    launcher.delete(stack)


def test_a_running_stack_is_left_untouched_and_told_with_name_age_and_run(launcher: Launcher) -> None:
    first = launcher.settle(HANGS, run="the first run")
    stack = launcher.launch(first)
    second = launcher.settle(HANGS, training_job_name=first.name)
    with pytest.raises(StackInTheWayError, match=rf"{first.name} .* 0 h 0 min old, .* the first run"):
        launcher.launch(second)
    assert launcher.alive(first)
    assert not instances(launcher, second)
    launcher.delete(stack)


def test_a_stack_that_is_not_vigils_is_never_touched(launcher: Launcher) -> None:
    name = f"theirs-{uuid.uuid4().hex[:8]}"
    cloudformation = launcher.aws.client("cloudformation")
    template = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    cloudformation.create_stack(StackName=name, TemplateBody=template)
    launch = launcher.settle(HANGS, training_job_name=name, stack_replacement=True)
    with pytest.raises(StackInTheWayError, match="is no training stack of the environment"):
        launcher.launch(launch)
    found = find_stack(cloudformation, name)
    assert found is not None
    assert found.status == "CREATE_COMPLETE"


def test_another_environments_stack_is_never_touched(launcher: Launcher) -> None:
    first = launcher.settle(WRITES)
    stack = launcher.launch(first)
    wait_for(lambda: not launcher.alive(first), "the end")
    other = Launcher(launcher.aws, make_ground(launcher.aws, launcher.bucket), launcher.bucket)
    launch = other.settle(HANGS, training_job_name=first.name, stack_replacement=True)
    with pytest.raises(StackInTheWayError, match="is no training stack of the environment"):
        other.launch(launch)
    assert launcher.status(stack) == "CREATE_COMPLETE"
    launcher.delete(stack)


def test_the_deadline_is_reckoned_once_the_name_is_free(launcher: Launcher) -> None:
    first = launcher.settle(WRITES)
    stack = launcher.launch(first)
    wait_for(lambda: not launcher.alive(first), "the end")
    second = launcher.settle(
        HANGS, training_job_name=first.name, termination_method="at-fixed-time", time_limit=0.05
    )
    began = now()

    def clock() -> datetime:
        # As if the deletion took an hour.
        return now() + timedelta(hours=launcher.status(stack) == "DELETE_COMPLETE")

    made = launch_or_adopt(launcher.aws, second, launcher.ground, since=began, clock=clock, poll_s=0.1)
    assert made.deadline is not None
    assert made.deadline >= began + timedelta(hours=1)
    launcher.delete(made)


def test_replacement_runs_the_changed_script_and_ends_the_old_one(
    launcher: Launcher, caplog: pytest.LogCaptureFixture
) -> None:
    first = launcher.settle(HANGS, run="the first run")
    stack = launcher.launch(first)
    old = launcher.instance(first).id
    second = launcher.settle(
        WRITES + "sleep 1000\n", training_job_name=first.name, stack_replacement=True, arguments=["two"]
    )
    replaced = launcher.launch(second)
    assert replaced.id == stack.id
    assert replaced.launch == second.id
    warning = next(record.getMessage() for record in caplog.records if "REPLACES" in record.getMessage())
    assert old in warning
    assert "the first run" in warning
    assert not launcher.alive(first)
    wait_for(lambda: launcher.keys(second, "log/"), "what the new script says")
    assert launcher.log(second) == "epoch 1 of two\n"
    assert outcome_of(launcher.aws, first, stack.id, now() + timedelta(hours=1), now()).kind == "replaced"
    launcher.delete(replaced)


def test_a_replacement_that_cannot_be_made_leaves_the_old_one_running(launcher: Launcher) -> None:
    first = launcher.settle(HANGS)
    stack = launcher.launch(first)
    old = launcher.instance(first)
    second = launcher.settle(
        HANGS, training_job_name=first.name, stack_replacement=True, security_group_id="sg-0123456789abcdef0"
    )
    launcher.launch(second)
    found = find_stack(launcher.aws.client("cloudformation"), stack.id)
    assert found is not None
    assert found.status == "UPDATE_ROLLBACK_COMPLETE"
    assert found.launch == first.id
    assert [one.id for one in launcher.alive(first)] == [old.id]
    assert not launcher.alive(second)
    outcome = outcome_of(launcher.aws, second, stack.id, now() + timedelta(hours=1), now())
    assert outcome.kind == "launch-failed"
    launcher.delete(found)


def test_a_finished_stack_in_the_way_is_no_conflict(launcher: Launcher) -> None:
    first = launcher.settle(WRITES)
    stack = launcher.launch(first)
    wait_for(lambda: not launcher.alive(first), "the end")
    second = launcher.settle(HANGS, training_job_name=first.name)
    made = launcher.launch(second)
    assert made.id != stack.id
    assert launcher.alive(second)
    assert launcher.read(first, "output/model.json") == b"a model\n"
    launcher.delete(made)


def test_a_stack_that_was_rolled_back_is_no_conflict(launcher: Launcher) -> None:
    first = launcher.settle(HANGS, security_group_id="sg-0123456789abcdef0")
    request = stack_request(first, launcher.ground, now())
    cloudformation = launcher.aws.client("cloudformation")
    cloudformation.create_stack(StackName=first.name, OnFailure="ROLLBACK", **request.arguments())
    rolled_back = find_stack(cloudformation, first.name)
    assert rolled_back is not None
    assert rolled_back.status == "ROLLBACK_COMPLETE"
    second = launcher.settle(HANGS, training_job_name=first.name)
    made = launcher.launch(second)
    assert made.id != rolled_back.id
    assert launcher.alive(second)
    launcher.delete(made)


def test_a_stack_whose_deletion_failed_is_cleared_away(launcher: Launcher, local_aws: str) -> None:
    import requests

    first = launcher.settle(HANGS)
    stack = launcher.launch(first)
    fault = {"service": "iam", "operation": "DeleteRole", "error": "DeleteConflict"}
    requests.post(f"{local_aws}/_faults", json={**fault, "times": 1}, timeout=10).raise_for_status()
    launcher.aws.client("cloudformation").delete_stack(StackName=stack.id)
    wait_for(lambda: launcher.status(stack) == "DELETE_FAILED", "the failure")
    second = launcher.settle(HANGS, training_job_name=first.name)
    made = launcher.launch(second)
    assert made.id != stack.id
    assert launcher.status(stack) == "DELETE_COMPLETE"
    launcher.delete(made)


def test_a_stack_that_cannot_be_made_leaves_nothing_and_says_why(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, security_group_id="sg-0123456789abcdef0")
    stack = launcher.launch(launch)
    assert stack.is_gone
    outcome = outcome_of(launcher.aws, launch, stack.id, now() + timedelta(hours=1), now())
    assert outcome.kind == "launch-failed"
    assert "sg-0123456789abcdef0" in outcome.text
    assert not instances(launcher, launch)


def test_an_image_that_is_not_there_is_refused_before_anything_is_made(launcher: Launcher) -> None:
    with pytest.raises(SettingsError, match="There is no image ami-00000000"):
        launcher.settle(HANGS, image="ami-00000000")


def test_an_image_of_windows_is_refused(launcher: Launcher) -> None:
    ec2 = launcher.aws.client("ec2")
    windows = next(
        image["ImageId"] for image in ec2.describe_images()["Images"] if image.get("Platform") == "windows"
    )
    with pytest.raises(SettingsError, match="needs a Linux"):
        launcher.settle(HANGS, image=windows)


def test_a_spot_instance_is_asked_for_at_the_frozen_price(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, purchase="spot")
    stack = launcher.launch(launch)
    instance = launcher.instance(launch)
    (found,) = launcher.aws.client("ec2").describe_instances(InstanceIds=[instance.id])["Reservations"]
    assert found["Instances"][0]["InstanceLifecycle"] == "spot"
    assert launch.price.source == "spot price history"
    launcher.delete(stack)


def test_the_stack_carries_what_its_ends_go_by(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, run="manual__2026-11-21T12:00:00+00:00_ä~,%", tags={"team": "ml"})
    stack = launcher.launch(launch)
    assert stack.run == ("launch_training_stack", "manual__2026-11-21T12:00:00+00:00_ä~,%")
    assert stack.tags["team"] == "ml"
    instance = launcher.instance(launch)
    assert instance.deadline == stack.deadline
    assert instance.tags["team"] == "ml"
    assert instance.stack_id == stack.id
    # IAM takes fewer letters in a tag than all the others.
    cloudformation = launcher.aws.client("cloudformation")
    role = cloudformation.describe_stack_resource(StackName=stack.id, LogicalResourceId="InstanceRole")
    name = role["StackResourceDetail"]["PhysicalResourceId"]
    tags = launcher.aws.client("iam").list_role_tags(RoleName=name)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == stack.tags
    launcher.delete(stack)


def test_the_instances_role_reaches_no_further_than_its_job(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, read_prefixes=["data/"])
    stack = launcher.launch(launch)
    iam, cloudformation = launcher.aws.client("iam"), launcher.aws.client("cloudformation")
    (role,) = [
        one["PhysicalResourceId"]
        for one in cloudformation.describe_stack_resources(StackName=stack.id)["StackResources"]
        if one["LogicalResourceId"] == "InstanceRole"
    ]
    found = iam.get_role(RoleName=role)["Role"]
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == launcher.ground.instance_boundary_arn
    assert found["Path"] == launcher.ground.instance_role_path
    policy = iam.get_role_policy(RoleName=role, PolicyName="job-folder")["PolicyDocument"]
    by_sid = {statement["Sid"]: statement for statement in policy["Statement"]}
    bucket = f"arn:aws:s3:::{launcher.bucket}"
    job = f"{bucket}/training-stacks/{launch.name}/*"
    assert by_sid["KeepWhatTheJobMakes"]["Resource"] == job
    assert by_sid["ReadWhatTheJobNeeds"]["Resource"] == [job, f"{bucket}/data/*"]
    assert {action for one in policy["Statement"] for action in _listed(one["Action"])} == {
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:ListBucket",
    }
    launcher.delete(stack)


def test_no_script_and_no_secret_stands_in_the_user_data(launcher: Launcher) -> None:
    launch = launcher.settle("#!/bin/bash\nexport PASSWORD=hunter2\n", arguments=["--token", "abc"])
    request = stack_request(launch, launcher.ground, now())
    assert "hunter2" not in str(request)
    assert "abc" not in request.parameters["UserData"]
    assert len(request.parameters["UserData"]) <= 4096


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"7", b" " * 2_000_000 + b"{}"], ids=["deep", "7", "long"]
)
def test_what_a_script_writes_in_place_of_a_result_is_none(launcher: Launcher, content: bytes) -> None:
    launch = launcher.settle("#!/bin/bash\n")
    place = launch.folder / "outcome.json"
    launcher.aws.client("s3").put_object(Bucket=place.bucket, Key=place.key, Body=content)
    assert kept_outcome(launcher.aws, launch) is None


def test_of_a_log_only_the_end_is_read(launcher: Launcher) -> None:
    launch = launcher.settle("#!/bin/bash\n")
    place = launch.folder / "log/part-000000.log"
    body = b"x" * 1_000_000 + b"\nlast\n"
    launcher.aws.client("s3").put_object(Bucket=place.bucket, Key=place.key, Body=body)
    start, last = last_log_lines(launcher.aws, launch)
    assert (len(start) < 300_000, last) == (True, "last")


def test_a_throttled_api_is_waited_for(launcher: Launcher, local_aws: str) -> None:
    import requests

    for operation in ("DescribeStacks", "CreateStack"):
        fault = {"service": "cloudformation", "operation": operation, "error": "Throttling", "times": 2}
        requests.post(f"{local_aws}/_faults", json=fault, timeout=10).raise_for_status()
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    assert len(launcher.alive(launch)) == 1
    launcher.delete(stack)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value

"""Launches and sweeps as Airflow runs them: what is returned, told, refused, and left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from pymysql.connections import Connection

from tests.dags.runs import returned, run_dag, task_states
from tests.vigil.stacks.launches import HOURS_A_SECOND, Launcher, make_ground
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.database import Database
from vigil.operators.stack_trigger import TrainingStackTrigger
from vigil.operators.stacks import LaunchTrainingStackOperator
from vigil.settings import Settings
from vigil.stacks.inventory import TrainingStack, living_instances, training_stacks
from vigil.stacks.launch import Launch
from vigil.stacks.outcome import keep_outcome
from vigil.stacks.template import StackRequest
from vigil.windows import now

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_metadata")]

LAUNCH, SWEEP = "launch_training_stack", "sweep_training_stacks"
HANGS = "#!/bin/bash\nsleep 1000\n"
# What Jinja, a shell, CloudFormation and systemd would each make something else of.
STRANGE = ["{{ 7 * 191 }}", "$(id); `id` 'a\"b", "${AWS::Region}", "%n ${HOME}", "--help", "a\nb"]


@pytest.fixture
def launcher(aws: Aws, vigil_environment: Settings, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    ground = make_ground(aws, vigil_environment.bucket)
    options = {
        "ENVIRONMENT": ground.environment,
        "TRAINING_STACK_ROLE_ARN": ground.stack_role_arn,
        "SCHEDULE_ROLE_ARN": ground.schedule_role_arn,
        "SCHEDULE_GROUP": ground.schedule_group,
        "SCHEDULE_DEAD_LETTER_ARN": ground.schedule_dead_letter_arn,
        "INSTANCE_BOUNDARY_ARN": ground.instance_boundary_arn,
        "OPERATIONS_TOPIC_ARN": vigil_environment.alert_topic_arn,
    }
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__VIGIL__{name}", value)
    return Launcher(aws, ground, vigil_environment.bucket)


def asked(launcher: Launcher, script: str, **changes: Any) -> dict[str, Any]:
    """Put a script into the bucket and return what the trigger form says."""
    key = f"scripts/{uuid.uuid4().hex}.sh"
    launcher.aws.client("s3").put_object(Bucket=launcher.bucket, Key=key, Body=script.encode())
    options = {
        "training-job-name": f"job-{uuid.uuid4().hex[:8]}",
        "termination-method": "on-complete",
        "training-script-filename": key,
        "s3-training-bucket": launcher.bucket,
        "grace-seconds": 1,
        "upload-every-seconds": 1,
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return {"options": options}


def stacks(launcher: Launcher) -> list[TrainingStack]:
    return training_stacks(launcher.aws.client("cloudformation"), launcher.ground.environment)


def notices(connection: Connection[Any]) -> list[tuple[str, str, bool]]:
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, text, published_at IS NOT NULL FROM notices ORDER BY created_at")
        return [(kind, text, bool(published)) for kind, text, published in cursor.fetchall()]


def test_a_launch_trains_tells_its_cost_leaves_nothing_and_is_given_no_secret(
    launcher: Launcher, connection: Connection[Any], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests_made: list[StackRequest] = []
    arguments = StackRequest.arguments
    monkeypatch.setattr(StackRequest, "arguments", lambda made: requests_made.append(made) or arguments(made))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "recognisable-secret")
    script = 'echo model > $VIGIL_OUTPUT_DIR/model; env; cat /proc/*/environ; printf "<%s>" "$@"'
    said = asked(launcher, f"#!/bin/bash\n{script}\n", arguments=STRANGE)
    run = run_dag(LAUNCH, now(), said)
    assert run.state == "success"
    outcome = returned(run, "launch")
    assert outcome["kind"] == "completed"
    assert 0 < outcome["actual_usd"] < outcome["estimate_usd"]
    assert not stacks(launcher)
    launch = Launch.from_json(returned(run, "settle_launch"))
    assert not launcher.alive(launch)
    assert launcher.read(launch, "output/model") == b"model\n"
    keys = launcher.keys(launch)
    assert {"launch.json", "result.json", "outcome.json"} <= set(keys)
    kept = {key: launcher.read(launch, key).decode() for key in keys}
    log = "".join(kept[key] for key in keys if key.startswith("log/"))
    assert "VIGIL_OUTPUT_DIR=" in log
    assert "".join(f"<{argument}>" for argument in STRANGE) in log
    for secret in (database.password, "recognisable-secret"):
        assert secret not in f"{kept}{requests_made}"
    assert "UserData" in str(requests_made)
    ((kind, text, published),) = notices(connection)
    assert (kind, published) == ("training-stack-ended", True)
    assert "actual" in text


def test_a_limit_that_is_reached_is_a_success(launcher: Launcher) -> None:
    said = asked(
        launcher,
        HANGS,
        termination_method="around-cost",
        cost_limit=0.002,
        instance_type="g4dn.xlarge",
        volume_size_gb=8,
    )
    run = run_dag(LAUNCH, now(), said)
    assert run.state == "success"
    outcome = returned(run, "launch")
    assert (outcome["kind"], outcome["limit_usd"]) == ("limit-reached", 0.002)
    assert not stacks(launcher)


@pytest.mark.parametrize(
    ("script", "changes", "told"),
    [
        ("#!/bin/bash\nexit 7\n", {}, "with status 7"),
        (HANGS, {"maximum_hours": 6 * HOURS_A_SECOND}, "hard maximum"),
        (HANGS, {"security_group_id": "sg-0123456789abcdef0"}, "could not be made"),
    ],
)
def test_an_end_that_was_not_asked_for_fails_the_run_and_leaves_nothing(
    launcher: Launcher, connection: Connection[Any], script: str, changes: dict[str, Any], told: str
) -> None:
    run = run_dag(LAUNCH, now(), asked(launcher, script, **changes))
    assert run.state == "failed"
    assert task_states(run)["launch"] == "failed"
    assert not stacks(launcher)
    ((kind, text, _),) = notices(connection)
    assert kind == "training-stack-failed"
    assert told in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cost_limt": 5}, "did you mean cost-limit"),
        ({"termination_method": "around-cost", "cost_limit": 0}, "cost-limit"),
        ({"training_script_filename": "../x.sh"}, "leads out"),
        ({"training_script_filename": "absent.sh"}, "no script"),
        ({"instance_type": "x9.moon"}, "never guessed"),
        ({"image": "ami-00000000"}, "no image"),
    ],
)
def test_what_cannot_be_done_is_refused_and_told_before_anything_is_made(
    launcher: Launcher, connection: Connection[Any], changes: dict[str, Any], told: str
) -> None:
    run = run_dag(LAUNCH, now(), asked(launcher, HANGS, **changes))
    assert run.state == "failed"
    assert task_states(run) == {
        "settle_launch": "failed",
        "launch": "upstream_failed",
        "leave_nothing": "success",
    }
    assert not stacks(launcher)
    assert (
        not launcher.aws.client("s3")
        .list_objects_v2(Bucket=launcher.bucket, Prefix="training-stacks/")
        .get("Contents")
    )
    ((kind, text, _),) = notices(connection)
    assert kind == "training-stack-failed"
    assert told in text


def test_a_dry_run_makes_nothing(launcher: Launcher) -> None:
    run = run_dag(LAUNCH, now(), asked(launcher, HANGS) | {"dry_run": True})
    assert run.state == "success"
    assert task_states(run)["launch"] == "skipped"
    assert not stacks(launcher)


def test_a_running_stack_of_the_name_fails_the_run_and_goes_on(launcher: Launcher) -> None:
    first = launcher.settle(HANGS)
    stack = launcher.launch(first)
    run = run_dag(LAUNCH, now(), asked(launcher, HANGS, training_job_name=first.name))
    assert run.state == "failed"
    assert launcher.alive(first)
    launcher.delete(stack)


def trigger_for(launch: Launch, stack: TrainingStack, **changes: Any) -> TrainingStackTrigger:
    arguments: dict[str, Any] = {
        "stack_id": stack.id,
        "job": launch.name,
        "launch": launch.id,
        "until": "ended",
        "aws_conn_id": "aws_default",
        "poll_s": 0.1,
        "latest": time.time() + 60,
        "detached": False,
    }
    return TrainingStackTrigger(**(arguments | changes))


async def first_event(trigger: TrainingStackTrigger) -> str:
    async for event in trigger.run():
        return str(event.payload["seen"])
    raise AssertionError("The trigger ended without an event")


def test_killing_the_waiting_task_deletes_the_stack(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    asyncio.run(trigger_for(launch, stack).on_kill())
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")
    assert not launcher.alive(launch)


def test_killing_a_detached_task_leaves_the_stack_running(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, detach_on_kill=True)
    stack = launcher.launch(launch)
    asyncio.run(trigger_for(launch, stack, detached=True).on_kill())
    assert launcher.status(stack) == "CREATE_COMPLETE"
    launcher.delete(stack)


def test_killing_a_task_whose_stack_was_replaced_leaves_the_new_one_alone(launcher: Launcher) -> None:
    first = launcher.settle(HANGS)
    stack = launcher.launch(first)
    second = launcher.settle(HANGS, training_job_name=first.name, stack_replacement=True)
    launcher.launch(second)
    asyncio.run(trigger_for(first, stack).on_kill())
    assert launcher.status(stack) == "UPDATE_COMPLETE"
    assert asyncio.run(first_event(trigger_for(first, stack))) == "UPDATE_COMPLETE"
    assert launcher.alive(second)
    launcher.delete(stack)


def test_the_trigger_fires_when_the_time_is_over_whatever_it_sees(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    overdue = trigger_for(launch, stack, latest=time.time() - 1)
    assert asyncio.run(first_event(overdue)) == "nothing in time"
    launcher.delete(stack)


def test_a_sweep_ends_what_is_past_its_deadline_and_tells_people(
    launcher: Launcher, connection: Connection[Any]
) -> None:
    launch = launcher.settle(
        HANGS, termination_method="at-fixed-time", time_limit=3 * HOURS_A_SECOND, run="nobody"
    )
    stack = launcher.launch(launch)
    wait_for(lambda: not launcher.alive(launch), "the end")
    run = run_dag(SWEEP, now())
    assert run.state == "success"
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")
    ((kind, text, _),) = notices(connection)
    assert kind == "training-stack-swept"
    assert launch.name in text


def test_a_sweep_finds_the_stack_of_a_run_that_nobody_knows(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, run="nobody")
    stack = launcher.launch(launch)
    run = run_dag(SWEEP, now())
    assert run.state == "success"
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")
    assert not launcher.alive(launch)


def test_a_sweep_with_nothing_to_do_is_skipped(launcher: Launcher) -> None:
    run = run_dag(SWEEP, now())
    assert task_states(run) == {"sweep_stacks": "skipped"}


@pytest.mark.long
def test_a_launch_whose_airflow_is_killed_right_after_it_made_the_stack_ends_all_the_same(
    launcher: Launcher,
) -> None:
    said = asked(
        launcher, HANGS, termination_method="at-fixed-time", time_limit=15 * HOURS_A_SECOND, grace_seconds=2
    )
    program = (
        "from tests.dags.runs import run_dag; from vigil.windows import now; "
        f"run_dag({LAUNCH!r}, now(), {said!r})"
    )
    airflow = subprocess.Popen(
        [sys.executable, "-c", program],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for(lambda: stacks(launcher), "the stack", 60)
    finally:
        os.killpg(airflow.pid, signal.SIGKILL)
        airflow.wait(timeout=20)
    (stack,) = stacks(launcher)
    ec2 = launcher.aws.client("ec2")
    wait_for(lambda: not living_instances(ec2, launcher.ground.environment), "the end of the instance", 60)
    assert stack.deadline is not None
    assert now() <= stack.deadline + timedelta(seconds=5)
    # The minute of its schedule lies up to two minutes ahead.
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion by the schedule", 150)


def operator(launch: Launch) -> LaunchTrainingStackOperator:
    return LaunchTrainingStackOperator(task_id="launch", launch=launch.to_json())


def test_killing_the_task_on_a_worker_deletes_the_stack(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    operator(launch).on_kill()
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")


def test_a_stack_that_cannot_be_deleted_loses_its_instance_is_tried_again_and_fails_the_task(
    launcher: Launcher,
) -> None:
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    event = {"stack_id": stack.id, "seen": "DELETE_FAILED", "attempt": 1}
    with pytest.raises(TaskDeferred) as deferred:
        operator(launch).resume_deleting({}, event)
    assert deferred.value.trigger.attempt == 2
    wait_for(lambda: not launcher.alive(launch), "the end of the instance")
    with pytest.raises(AirflowFailException, match="sweep_training_stacks goes on"):
        operator(launch).resume_deleting({}, event | {"attempt": 3})


def test_a_retry_after_the_end_tells_it_again_and_launches_nothing(launcher: Launcher) -> None:
    launch = launcher.settle("#!/bin/bash\nexit 0\n")
    stack = launcher.launch(launch)
    outcome = launcher.ended(launch, stack)
    keep_outcome(launcher.aws, launch, outcome)
    launcher.delete(stack)
    assert operator(launch).execute({}) == outcome.to_json()
    assert not stacks(launcher)


def breaks(*_: Any, **__: Any) -> None:
    raise RuntimeError("unforeseen")


def test_a_task_that_failed_in_an_unforeseen_way_leaves_nothing_and_tells_how_it_ended(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, connection: Connection[Any]
) -> None:
    monkeypatch.setattr("vigil.stacks.outcome.last_log_lines", breaks)
    run = run_dag(LAUNCH, now(), asked(launcher, "#!/bin/bash\nexit 0\n"))
    assert run.state == "failed"
    assert task_states(run)["leave_nothing"] == "success"
    assert not stacks(launcher)
    ((kind, text, _),) = notices(connection)
    assert kind == "training-stack-ended"
    assert "ended well" in text


def test_a_task_that_died_between_outcome_and_deletion_leaves_no_stack(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, connection: Connection[Any]
) -> None:
    monkeypatch.setattr(LaunchTrainingStackOperator, "_clear_away", breaks)
    run = run_dag(LAUNCH, now(), asked(launcher, "#!/bin/bash\nexit 0\n"))
    assert run.state == "failed"
    assert not stacks(launcher)
    ((kind, _, _),) = notices(connection)
    assert kind == "training-stack-ended"


def test_a_task_that_was_killed_leaves_nothing_and_tells_its_cost(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, connection: Connection[Any]
) -> None:
    def killed(operator: LaunchTrainingStackOperator, *_: Any, **__: Any) -> None:
        operator.on_kill()
        raise AirflowFailException("killed")

    monkeypatch.setattr(LaunchTrainingStackOperator, "_wait", killed)
    run = run_dag(LAUNCH, now(), asked(launcher, HANGS))
    assert run.state == "failed"
    assert not stacks(launcher)
    launch = Launch.from_json(returned(run, "settle_launch"))
    assert not launcher.alive(launch)
    assert "outcome.json" in launcher.keys(launch)
    ((kind, text, _),) = notices(connection)
    assert kind == "training-stack-failed"
    assert "actual 0.00" in text


def test_a_retry_after_a_kill_between_outcome_and_deletion_deletes_the_stack(launcher: Launcher) -> None:
    launch = launcher.settle("#!/bin/bash\nexit 0\n")
    stack = launcher.launch(launch)
    keep_outcome(launcher.aws, launch, launcher.ended(launch, stack))
    with pytest.raises(TaskDeferred) as deferred:
        operator(launch).execute({})
    assert deferred.value.trigger.until == "gone"
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")


@pytest.mark.parametrize("error", ["ServiceUnavailable", "Throttling"])
def test_a_moments_trouble_of_aws_does_not_end_the_waiting(
    launcher: Launcher, local_aws: str, error: str
) -> None:
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    fault = {"service": "cloudformation", "operation": "DescribeStacks", "error": error, "times": 8}
    status = 503 if error == "ServiceUnavailable" else 400
    requests.post(f"{local_aws}/_faults", json=fault | {"status": status}, timeout=10).raise_for_status()
    overdue = trigger_for(launch, stack, latest=time.time() + 3)
    assert asyncio.run(first_event(overdue)) == "nothing in time"
    requests.delete(f"{local_aws}/_faults", timeout=10).raise_for_status()
    launcher.delete(stack)


def test_an_instance_that_ec2_has_forgotten_has_ended(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    forgotten = trigger_for(launch, stack)
    forgotten.job = "nobody"
    assert asyncio.run(first_event(forgotten)) == "ended"
    launcher.delete(stack)

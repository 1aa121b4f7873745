"""Brings a launch's stack about, once: whoever tries again finds the stack of the first try."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from botocore.exceptions import ClientError, WaiterError

from vigil.aws import Aws, error_code
from vigil.errors import VigilError
from vigil.stacks.ending import end_and_wait
from vigil.stacks.inventory import (
    TrainingStack,
    find_deleted_stack,
    find_stack,
    instances_of_launch,
)
from vigil.stacks.launch import Launch
from vigil.stacks.template import Ground, stack_request

_CREATION_LIMIT_MIN = 15
log = logging.getLogger(__name__)


class StackInTheWayError(VigilError):
    """Another stack has the name; it is left as it is."""


def launch_or_adopt(
    aws: Aws,
    launch: Launch,
    ground: Ground,
    *,
    since: datetime,
    clock: Callable[[], datetime],
    poll_s: float,
) -> TrainingStack:
    """Return the stack of a launch: found, if an earlier try made it, even if it has ended since; else made.

    Args:
        aws: clients.
        launch: what is launched.
        ground: what the stack stands on.
        since: when the run was due; no try of it was earlier. Naive UTC.
        clock: tells the moment that the deadline is reckoned from, once the name is free. Naive UTC.
        poll_s: seconds between two looks at a stack that is in the way.

    Raises:
        StackInTheWayError: another stack has the name, and it may not be replaced.
        VigilError: it may, but not at this moment.
    """
    cloudformation = aws.client("cloudformation")
    present = find_stack(cloudformation, launch.name)
    if present is None or present.launch != launch.id:
        ended = find_deleted_stack(cloudformation, launch.name, launch.id, since)
        if ended is not None:
            log.info("The stack of an earlier try has ended: %s", ended.id)
            return ended
    if present is not None and present.launch == launch.id:
        log.info("The stack of an earlier try is taken over: %s", present.id)
        return present
    if present is not None and not _clear_away(aws, launch, ground, present, clock(), poll_s):
        return _replace(aws, launch, ground, present, clock())
    return _create(aws, launch, ground, clock())


def _create(aws: Aws, launch: Launch, ground: Ground, now: datetime) -> TrainingStack:
    cloudformation = aws.client("cloudformation")
    request = stack_request(launch, ground, now)
    try:
        made = cloudformation.create_stack(
            StackName=launch.name,
            RoleARN=_role(launch, ground),
            # Nothing of a stack that could not be made stays, though nobody looks after it.
            OnFailure="DELETE",
            TimeoutInMinutes=_CREATION_LIMIT_MIN,
            ClientRequestToken=launch.id,
            **request.arguments(),
        )["StackId"]
    except ClientError as error:
        if error_code(error) != "AlreadyExistsException":
            raise
        present = find_stack(cloudformation, launch.name)
        if present is None or present.launch != launch.id:
            raise _in_the_way(launch, ground, present, now) from error
        return present
    log.info("Made the stack %s; it ends at %s UTC at the latest", made, request.deadline)
    return _found(aws, made)


def _clear_away(
    aws: Aws, launch: Launch, ground: Ground, present: TrainingStack, now: datetime, poll_s: float
) -> bool:
    """Delete a stack of which nothing runs any more; return whether the name is free now.

    Raises:
        StackInTheWayError: it runs, and may not be replaced; or it is not this environment's.
    """
    if not present.is_of(ground.environment):
        raise _in_the_way(launch, ground, present, now)
    alive = [
        one
        for one in instances_of_launch(aws.client("ec2"), present.name, present.launch or "")
        if one.is_alive
    ]
    dying = present.has_failed or present.status.startswith(("DELETE_", "ROLLBACK_"))
    if not dying and (alive or present.is_changing):
        if launch.config.stack_replacement:
            _say_what_is_lost(aws, present, [one.id for one in alive], now)
            return False
        raise _in_the_way(launch, ground, present, now)
    log.info("A stack that has ended (%s) is in the way, and is deleted: %s", present.status, present.id)
    try:
        end_and_wait(aws, present.name, present.launch or "", present.id, poll_s)
    except WaiterError as error:
        raise VigilError(
            f"The stack {present.id}, which has ended, is in the way and cannot be deleted: look at its "
            "events, or choose another training-job-name."
        ) from error
    return True


def _replace(
    aws: Aws, launch: Launch, ground: Ground, present: TrainingStack, now: datetime
) -> TrainingStack:
    """Update a stack so that another script runs in it."""
    if present.is_changing:
        raise VigilError(
            f"The stack {present.name} is {present.status} and cannot be replaced in the middle of that: try "
            "again in a minute."
        )
    request = stack_request(launch, ground, now)
    aws.client("cloudformation").update_stack(
        StackName=present.id,
        RoleARN=_role(launch, ground),
        ClientRequestToken=launch.id,
        **request.arguments(),
    )
    log.info("Replaced the instance of %s; it ends at %s UTC at the latest", present.id, request.deadline)
    return _found(aws, present.id)


def _say_what_is_lost(aws: Aws, present: TrainingStack, instances: list[str], now: datetime) -> None:
    dag_id, run_id = present.run
    log.warning(
        "REPLACES the stack %s, %s old, launched by %s of %s. Its instance %s is terminated; what was not "
        "uploaded from it is lost. What was lies in training-stacks/%s/%s/.",
        present.name,
        _age(present, now),
        run_id,
        dag_id,
        ", ".join(instances) or "(not there yet)",
        present.name,
        present.launch,
    )


def _in_the_way(
    launch: Launch, ground: Ground, present: TrainingStack | None, now: datetime
) -> StackInTheWayError:
    if present is None:
        return StackInTheWayError(
            f"A stack named {launch.name} came and went while this one was launched: launch again."
        )
    if not present.is_of(ground.environment):
        return StackInTheWayError(
            f"The stack {present.name} ({present.id}), {_age(present, now)} old, is no training stack of the "
            f"environment {ground.environment}: choose another training-job-name."
        )
    dag_id, run_id = present.run
    return StackInTheWayError(
        f"The stack {present.name} ({present.id}) exists, {_age(present, now)} old, launched by {run_id} of "
        f"{dag_id}, and is left as it is. Wait for its end, choose another training-job-name, or set "
        "stack-replacement to true, which terminates its instance."
    )


def _age(stack: TrainingStack, now: datetime) -> str:
    minutes = max(int((now - stack.created_at).total_seconds() // 60), 0)
    return f"{minutes // 60} h {minutes % 60} min"


def _role(launch: Launch, ground: Ground) -> str:
    return launch.config.lambda_role_arn or ground.stack_role_arn


def _found(aws: Aws, stack_id: str) -> TrainingStack:
    stack = find_stack(aws.client("cloudformation"), stack_id)
    if stack is None:
        raise VigilError(f"CloudFormation does not know {stack_id}, which it has just made: try again.")
    return stack

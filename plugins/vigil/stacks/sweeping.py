"""Finds training stacks that are past their end, or that nobody looks after, and ends them.

The last of three ends that do not know of each other. It needs neither the guest nor the schedule, nor any
memory of its own: what it goes by stands in the tags of stacks and instances.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from vigil.aws import Aws
from vigil.stacks.ending import terminate_directly
from vigil.stacks.inventory import (
    JOB_TAG,
    LAUNCH_TAG,
    TrainingInstance,
    TrainingStack,
    find_stack,
    living_instances,
    training_stacks,
)

_AT_ONCE = 8
_LEFT_BEHIND = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swept:
    """One stack or instance that was ended, or should have been.

    Attributes:
        job: name of the stack.
        launch: id.
        what: id of stack or instance.
        why: for people.
        error: what AWS said against it; None if it took the call.
    """

    job: str
    launch: str
    what: str
    why: str
    error: str | None = None


def sweep(
    aws: Aws, environment: str, is_over: Callable[[str, str], bool], now: Callable[[], datetime]
) -> list[Swept]:
    """End every stack that is past its deadline, that failed, or whose run is over; return them.

    Args:
        aws: clients.
        environment: whose stacks are swept.
        is_over: tells whether a run, by DAG and name, will do no more.
        now: the clock; naive UTC.
    """
    ec2, cloudformation = aws.client("ec2"), aws.client("cloudformation")
    # In this order: an instance whose stack is not among the stacks read after it has none.
    instances = living_instances(ec2, environment)
    stacks = training_stacks(cloudformation, environment)
    at = now()
    known = {stack.id for stack in stacks}
    # A list that is read page by page may miss one.
    gone = {
        one.stack_id
        for one in instances
        if one.stack_id not in known and _is_gone(cloudformation, one.stack_id)
    }
    due = {stack.id: why for stack in stacks if (why := _why(stack, instances, is_over, at))}
    doomed = _doomed(instances, gone, due, at)
    swept = _terminate(aws, instances, doomed)
    return swept + _delete(aws, [stack for stack in stacks if stack.id in due], due)


def _why(
    stack: TrainingStack,
    instances: list[TrainingInstance],
    is_over: Callable[[str, str], bool],
    now: datetime,
) -> str | None:
    """Return why a stack is to end; None if it is not."""
    if stack.deadline is None:
        return "its tag with the deadline is missing or spoilt"
    if stack.deadline <= now:
        return f"its deadline was {stack.deadline} UTC"
    if stack.status == "DELETE_FAILED":
        return f"its deletion failed: {stack.reason}"
    if stack.status in _LEFT_BEHIND:
        return f"it is what {stack.status} has left"
    if stack.is_changing or not is_over(*stack.run):
        return None
    runs = any(one.stack_id == stack.id for one in instances)
    if stack.is_detached and runs:
        return None
    return "the run that launched it is over"


def _is_gone(cloudformation: Any, stack_id: str) -> bool:
    stack = find_stack(cloudformation, stack_id) if stack_id else None
    return stack is None or stack.is_gone


def _doomed(
    instances: list[TrainingInstance],
    gone: Collection[str],
    due: Mapping[str, str],
    now: datetime,
) -> dict[str, str]:
    """Return the instances to terminate directly, each with the reason."""
    doomed: dict[str, str] = {}
    for one in instances:
        if one.state == "shutting-down":
            continue
        if one.stack_id in due:
            doomed[one.id] = due[one.stack_id]
        elif one.deadline is None or one.deadline <= now:
            doomed[one.id] = f"its deadline was {one.deadline} UTC"
        elif one.stack_id in gone:
            doomed[one.id] = "it has no stack"
    return doomed


def _terminate(aws: Aws, instances: list[TrainingInstance], doomed: Mapping[str, str]) -> list[Swept]:
    error = None
    try:
        terminate_directly(aws.client("ec2"), list(doomed))
    except (ClientError, BotoCoreError) as failure:
        error = str(failure)
    for one in instances:
        if one.id in doomed:
            log.info("Terminating %s of %s: %s", one.id, one.tags[JOB_TAG], doomed[one.id])
    return [
        Swept(one.tags[JOB_TAG], one.tags.get(LAUNCH_TAG, ""), one.id, doomed[one.id], error)
        for one in instances
        if one.id in doomed
    ]


def _delete(aws: Aws, stacks: list[TrainingStack], due: Mapping[str, str]) -> list[Swept]:
    cloudformation = aws.client("cloudformation")

    def delete(stack: TrainingStack) -> Swept:
        log.info("Deleting %s: %s", stack.name, due[stack.id])
        error = None
        try:
            cloudformation.delete_stack(StackName=stack.id)
        except (ClientError, BotoCoreError) as failure:
            error = str(failure)
        return Swept(stack.name, stack.launch or "", stack.id, due[stack.id], error)

    wanted = [stack for stack in stacks if stack.status != "DELETE_IN_PROGRESS"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(delete, wanted))

"""Ends stacks: deletes them, terminates what a deletion leaves, and looks whether anything is left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from vigil.aws import Aws, error_code
from vigil.stacks.inventory import find_stack, instances_of_launch, volumes_of_launch

DELETION_LIMIT_S = 15 * 60.0
log = logging.getLogger(__name__)


def delete_stack_of(cloudformation: Any, stack_id: str, launch_id: str) -> bool:
    """Have a stack deleted unless it serves another launch by now; return whether it is going or gone."""
    stack = find_stack(cloudformation, stack_id)
    if stack is None or stack.is_gone:
        return True
    if stack.launch != launch_id:
        log.info("The stack %s serves the launch %s now, and is left alone.", stack.name, stack.launch)
        return False
    cloudformation.delete_stack(StackName=stack_id)
    return True


def terminate_directly(ec2: Any, instance_ids: Sequence[str]) -> None:
    """Terminate instances past their stack; those that are gone meanwhile are no matter.

    Raises:
        ClientError: EC2 does not terminate one of them; the others it does.
    """
    if not instance_ids:
        return
    try:
        ec2.terminate_instances(InstanceIds=list(instance_ids))
    except ClientError as error:
        if len(instance_ids) == 1 and error_code(error) != "InvalidInstanceID.NotFound":
            raise
        if len(instance_ids) > 1:
            _terminate_one_by_one(ec2, instance_ids)


def _terminate_one_by_one(ec2: Any, instance_ids: Sequence[str]) -> None:
    """Terminate what can be: one that is unknown or protected holds up all the others of a call."""
    refused = None
    for instance_id in instance_ids:
        try:
            terminate_directly(ec2, [instance_id])
        except ClientError as error:
            refused = error
    if refused is not None:
        raise refused


def left_of(aws: Aws, job: str, launch_id: str) -> list[str]:
    """Return what of a launch still costs something: instances and volumes."""
    ec2 = aws.client("ec2")
    return [*_alive(ec2, job, launch_id), *volumes_of_launch(ec2, job, launch_id)]


def terminate_instances_of(aws: Aws, job: str, launch_id: str) -> None:
    """Terminate what still runs of a launch."""
    ec2 = aws.client("ec2")
    terminate_directly(ec2, _alive(ec2, job, launch_id))


def end_directly(aws: Aws, job: str, launch_id: str, stack_id: str) -> None:
    """Terminate the instance of a stack that cannot be deleted, and try the deletion again."""
    terminate_instances_of(aws, job, launch_id)
    delete_stack_of(aws.client("cloudformation"), stack_id, launch_id)


def end_and_wait(aws: Aws, job: str, launch_id: str, stack_id: str, poll_s: float) -> None:
    """End a stack and wait until it is gone.

    Raises:
        WaiterError: it cannot be deleted, or not in time; its instance is terminated.
    """
    end_directly(aws, job, launch_id, stack_id)
    aws.client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName=stack_id,
        WaiterConfig={"Delay": poll_s, "MaxAttempts": int(DELETION_LIMIT_S / poll_s) + 1},
    )


def _alive(ec2: Any, job: str, launch_id: str) -> list[str]:
    return [one.id for one in instances_of_launch(ec2, job, launch_id) if one.is_alive]

"""Ends stacks: deletes them, terminates what a deletion leaves, and looks whether anything is left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from vigil.aws import Aws, error_code
from vigil.stacks.inventory import find_stack, instances_of_launch, volumes_of_launch
from vigil.stacks.launch import Launch

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
    """Terminate instances past their stack; those that are gone meanwhile are no matter."""
    if not instance_ids:
        return
    try:
        ec2.terminate_instances(InstanceIds=list(instance_ids))
    except ClientError as error:
        # One that is unknown or protected holds up all the others of a call.
        if len(instance_ids) > 1:
            for instance_id in instance_ids:
                terminate_directly(ec2, [instance_id])
        elif error_code(error) != "InvalidInstanceID.NotFound":
            raise


def left_of(aws: Aws, launch: Launch) -> list[str]:
    """Return what of a launch still costs something: instances and volumes."""
    ec2 = aws.client("ec2")
    instances = [one.id for one in instances_of_launch(ec2, launch.name, launch.id) if one.is_alive]
    return [*instances, *volumes_of_launch(ec2, launch.name, launch.id)]


def end_directly(aws: Aws, launch: Launch, stack_id: str) -> None:
    """Terminate the instance of a stack that cannot be deleted, and try the deletion again."""
    ec2 = aws.client("ec2")
    alive = [one.id for one in instances_of_launch(ec2, launch.name, launch.id) if one.is_alive]
    terminate_directly(ec2, alive)
    delete_stack_of(aws.client("cloudformation"), stack_id, launch.id)

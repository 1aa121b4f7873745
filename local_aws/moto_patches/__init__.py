"""What moto lacks or does differently from the cloud, put right one service a module."""

from __future__ import annotations

from local_aws.clients import Clients
from local_aws.ec2.instances import Instances
from local_aws.moto_patches import (
    alarms,
    dispatch,
    ecr_images,
    events,
    memory,
    s3_conditions,
    s3_events,
    schedules,
)


def apply() -> None:
    """Patch moto, once a process."""
    dispatch.apply()
    memory.apply()
    events.apply()
    s3_events.apply()
    s3_conditions.apply()
    ecr_images.apply()
    schedules.apply()
    alarms.apply()


def apply_to_cloudformation(clients: Clients) -> None:
    """Patch CloudFormation, which takes longer to import than all the rest: when it is first asked for."""
    from local_aws.moto_patches.cloudformation import lifecycle, patience

    lifecycle.apply(clients)
    patience.apply()


def apply_to_ec2(instances: Instances) -> None:
    """Patch EC2, whose tables take long to read: when it is first asked for."""
    from local_aws.moto_patches import ec2

    ec2.apply(instances)

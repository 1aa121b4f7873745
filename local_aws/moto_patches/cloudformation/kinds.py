"""The kinds of resources that stacks make really; the others are left to moto's own models."""

from __future__ import annotations

from local_aws.moto_patches.cloudformation import databases, networking
from local_aws.moto_patches.cloudformation.airflow import Environment
from local_aws.moto_patches.cloudformation.alarms import Alarm, Dashboard
from local_aws.moto_patches.cloudformation.compute import Instance, LaunchTemplate
from local_aws.moto_patches.cloudformation.firewalls import SecurityGroup
from local_aws.moto_patches.cloudformation.identity import InstanceProfile, ManagedPolicy, Role
from local_aws.moto_patches.cloudformation.keys import Alias, Key
from local_aws.moto_patches.cloudformation.messaging import (
    Queue,
    QueuePolicy,
    Subscription,
    Topic,
    TopicPolicy,
)
from local_aws.moto_patches.cloudformation.operations import (
    LogGroup,
    ModelPackageGroup,
    Rule,
    Schedule,
    ScheduleGroup,
)
from local_aws.moto_patches.cloudformation.resources import Kind
from local_aws.moto_patches.cloudformation.secrets import Secret, SecretTargetAttachment
from local_aws.moto_patches.cloudformation.storage import Bucket, BucketPolicy

KINDS: dict[str, Kind] = {
    kind.type: kind
    for kind in (
        Alarm(),
        Alias(),
        Bucket(),
        BucketPolicy(),
        Dashboard(),
        Environment(),
        Instance(),
        InstanceProfile(),
        Key(),
        LaunchTemplate(),
        LogGroup(),
        ManagedPolicy(),
        ModelPackageGroup(),
        Queue(),
        QueuePolicy(),
        Role(),
        Rule(),
        Schedule(),
        ScheduleGroup(),
        Secret(),
        SecretTargetAttachment(),
        SecurityGroup(),
        Subscription(),
        Topic(),
        TopicPolicy(),
        *databases.KINDS,
        *networking.KINDS,
    )
}

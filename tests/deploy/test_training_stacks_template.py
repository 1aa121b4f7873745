from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from vigil.settings import Settings
from vigil.stacks.template import ground_of

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ENVIRONMENT = f"e-{uuid4().hex[:8]}"
STACK = f"{ENVIRONMENT}-training-stacks"
BUCKET = "the-bucket"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/any"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:operations"
# What may be launched with is older than the launch: only what is launched can be asked for its tags.
TAGGED = (
    "cloudformation:CreateStack",
    "cloudformation:DeleteStack",
    "cloudformation:UpdateStack",
    "ec2:TerminateInstances",
)
Statement = dict[str, Any]


@pytest.fixture(scope="module")
def outputs(client: Any) -> Iterator[dict[str, str]]:
    """The stack, really made; its outputs."""
    cloudformation = client("cloudformation")
    parameters = {
        "Environment": ENVIRONMENT,
        "BucketName": BUCKET,
        "KeyArn": KEY,
        "OperationsTopicArn": TOPIC,
    }
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=(DEPLOY / "training-stacks.yaml").read_text(encoding="utf-8"),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    yield {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    cloudformation.delete_stack(StackName=STACK)
    deleted = cloudformation.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert STACK in {one["StackName"] for one in deleted}


@pytest.fixture(scope="module")
def policies(client: Any, outputs: dict[str, str]) -> dict[str, list[Statement]]:
    """The statements of each policy, as IAM has them."""
    iam = client("iam")
    found = {}
    for name in ("StackRole", "SchedulerRole"):
        role = outputs[f"{name}Arn"].rsplit("/", 1)[1]
        (inline,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        found[name] = iam.get_role_policy(RoleName=role, PolicyName=inline)["PolicyDocument"]["Statement"]
    for name in ("InstanceBoundary", "LauncherPolicy"):
        arn = outputs[f"{name}Arn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        found[name] = document["Statement"]
    return found


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def allowing(statements: list[Statement], action: str) -> list[Statement]:
    return [
        one for one in statements if any(fnmatch.fnmatch(action, given) for given in listed(one["Action"]))
    ]


def everything(policies: dict[str, list[Statement]]) -> list[Statement]:
    return [statement for statements in policies.values() for statement in statements]


def test_its_outputs_are_what_the_settings_want(outputs):
    settings = Settings(
        bucket=BUCKET,
        alert_topic_arn=TOPIC,
        sagemaker_role_arn="arn:aws:iam::123456789012:role/sagemaker",
        environment=outputs["Environment"],
        training_stack_role_arn=outputs["StackRoleArn"],
        schedule_role_arn=outputs["SchedulerRoleArn"],
        schedule_group=outputs["ScheduleGroupName"],
        schedule_dead_letter_arn=outputs["DeleteDeadLetterQueueArn"],
        instance_boundary_arn=outputs["InstanceBoundaryArn"],
    )
    assert ground_of(settings, "eu-west-1").instance_role_path == outputs["InstanceRolePath"]
    assert outputs["LauncherPolicyArn"].startswith("arn:aws:iam::")


def test_a_role_is_passed_to_one_service_only(policies):
    passed = {
        name: {
            (resource.rsplit("/", 1)[1], statement["Condition"]["StringEquals"]["iam:PassedToService"])
            for statement in allowing(statements, "iam:PassRole")
            for resource in listed(statement["Resource"])
        }
        for name, statements in policies.items()
    }
    services = {name: {service for _, service in pairs} for name, pairs in passed.items()}
    assert services == {
        "StackRole": {"ec2.amazonaws.com", "scheduler.amazonaws.com"},
        "SchedulerRole": set(),
        "InstanceBoundary": set(),
        "LauncherPolicy": {"cloudformation.amazonaws.com"},
    }


@pytest.mark.parametrize("action", ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"])
def test_a_role_is_made_below_the_path_and_under_the_boundary_only(policies, outputs, action):
    (statement,) = allowing(everything(policies), action)
    assert statement["Condition"]["StringEquals"]["iam:PermissionsBoundary"] == outputs["InstanceBoundaryArn"]
    assert statement["Resource"].endswith(f":role{outputs['InstanceRolePath']}*")


def test_nobody_can_take_a_boundary_away_or_hand_out_policies(policies):
    for action in (
        "iam:AttachRolePolicy",
        "iam:CreatePolicyVersion",
        "iam:DeleteRolePermissionsBoundary",
        "iam:UpdateAssumeRolePolicy",
    ):
        assert allowing(everything(policies), action) == []


def test_the_boundary_lets_an_instance_keep_its_results_and_read_and_nothing_else(policies):
    statements = policies["InstanceBoundary"]
    actions = {action for one in statements for action in listed(one["Action"])}
    assert {action for action in actions if action.startswith("s3:")} == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucket",
    }
    (decrypt,) = allowing(statements, "kms:Decrypt")
    assert decrypt["Resource"] == KEY
    assert decrypt["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    assert {action for action in actions if not action.startswith("s3:")} == set(decrypt["Action"])
    (put,) = allowing(statements, "s3:PutObject")
    assert put["Resource"] == f"arn:aws:s3:::{BUCKET}/training-stacks/*"
    (get,) = allowing(statements, "s3:GetObject")
    assert get["Resource"] == f"arn:aws:s3:::{BUCKET}/*"
    (listing,) = allowing(statements, "s3:ListBucket")
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "?*"}}


@pytest.mark.parametrize("action", TAGGED)
def test_what_brings_about_or_ends_a_stack_is_bound_to_its_tags(policies, action):
    for statement in allowing(everything(policies), action):
        keys = {key for operator in statement["Condition"].values() for key in operator}
        assert any(key.endswith("Tag/vigil:environment") for key in keys)
        assert any(key.endswith("Tag/vigil:training-stack") for key in keys)
        assert ENVIRONMENT in statement["Condition"]["StringEquals"].values()


def test_an_instance_is_launched_with_its_tags_only(policies):
    launching = allowing(everything(policies), "ec2:RunInstances")
    (instances,) = [one for one in launching if any("instance/*" in arn for arn in listed(one["Resource"]))]
    assert instances["Condition"] == {
        "StringEquals": {"aws:RequestTag/vigil:environment": ENVIRONMENT},
        "Null": {"aws:RequestTag/vigil:training-stack": "false"},
    }
    assert instances["Resource"].endswith(":instance/*")


def test_a_stack_is_created_with_the_role_meant_for_it_only(policies, outputs):
    (creating,) = allowing(policies["LauncherPolicy"], "cloudformation:CreateStack")
    assert creating["Condition"]["ArnEquals"] == {"cloudformation:RoleArn": outputs["StackRoleArn"]}


def test_schedules_are_kept_in_their_group_and_can_fire(client, outputs):
    scheduler = client("scheduler")
    moment = datetime.now(UTC) + timedelta(days=1)
    scheduler.create_schedule(
        Name="end",
        GroupName=outputs["ScheduleGroupName"],
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:00})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack",
            "RoleArn": outputs["SchedulerRoleArn"],
            "Input": json.dumps({"StackName": "any"}),
            "DeadLetterConfig": {"Arn": outputs["DeleteDeadLetterQueueArn"]},
        },
    )
    scheduler.delete_schedule(Name="end", GroupName=outputs["ScheduleGroupName"])


def test_schedules_that_fail_are_kept_two_weeks_encrypted_and_told_of(client, policies, outputs):
    arn = outputs["DeleteDeadLetterQueueArn"]
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == str(14 * 24 * 3600)
    assert attributes["KmsMasterKeyId"] == KEY
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Principal"] == {"AWS": outputs["SchedulerRoleArn"]}
    (sending,) = allowing(policies["SchedulerRole"], "sqs:SendMessage")
    assert sending["Resource"] == arn
    (alarm,) = client("cloudwatch").describe_alarms(AlarmNamePrefix=f"vigil-{ENVIRONMENT}-")["MetricAlarms"]
    assert alarm["AlarmActions"] == [TOPIC]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": arn.rsplit(":", 1)[1]}]

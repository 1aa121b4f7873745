"""What the tasks' code calls, held against what Airflow's role may do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tests.deploy.policies import actions_of, resources, statements_of
from vigil.sagemaker_jobs import KINDS

VIGIL = Path(__file__).resolve().parents[2] / "plugins" / "vigil"
SERVICES = (
    "cloudformation",
    "cloudwatch",
    "ec2",
    "ecr",
    "logs",
    "pricing",
    "s3",
    "sagemaker",
    "sagemaker-runtime",
    "sns",
    "sqs",
    "ssm",
)
# Methods of other things than clients that are called like an operation.
NOT_CALLS = {"search"}
# Operations of other services that are called like one of ours.
NAMESAKES = {"sns:DeleteEndpoint"}
# Operations whose action is called otherwise, or that take more than one.
ACTIONS = {
    "s3:AbortMultipartUpload": {"s3:AbortMultipartUpload"},
    "s3:CompleteMultipartUpload": {"s3:PutObject"},
    "s3:CreateMultipartUpload": {"s3:PutObject"},
    "s3:HeadObject": {"s3:GetObject", "s3:GetObjectVersion"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:UploadPart": {"s3:PutObject"},
    "sns:PublishBatch": {"sns:Publish"},
    "sqs:DeleteMessageBatch": {"sqs:DeleteMessage"},
    "cloudformation:CreateStack": {"cloudformation:TagResource", "iam:PassRole"},
    **{
        f"sagemaker:Create{what}": {"sagemaker:AddTags", "iam:PassRole"}
        for what in ("Model", "ProcessingJob", "TrainingJob")
    },
}
KEEPS_ITS_NAME = {"cloudformation:CreateStack", *(name for name in ACTIONS if name.startswith("sagemaker:"))}
# What boto3 makes of one call.
TRANSFERS = {
    "copy": {
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:GetObjectVersion",
        "s3:GetObjectVersionTagging",
        "s3:PutObject",
        "s3:PutObjectTagging",
    },
    "upload_file": {"s3:AbortMultipartUpload", "s3:PutObject"},
    "upload_fileobj": {"s3:AbortMultipartUpload", "s3:PutObject"},
}
WAITERS = {"stack_delete_complete": {"cloudformation:DescribeStacks"}}


@cache
def operations() -> dict[str, set[str]]:
    """Actions by the names of the clients' methods."""
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        model = botocore.session.get_session().get_service_model(service)
        prefix = service.removesuffix("-runtime")
        for operation in model.operation_names:
            action = f"{prefix}:{operation}"
            needed = ACTIONS.get(action, {action}) | ({action} if action in KEEPS_ITS_NAME else set())
            found.setdefault(xform_name(operation), set()).update(needed - NAMESAKES)
    return found


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name that may be a method of a client: attributes, texts, and texts that end in a kind of job."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=[ast.Constant(value=str(verb)), ast.FormattedValue(value=named)]):
                if isinstance(named, ast.Attribute) and named.attr == "api_name":
                    yield from (f"{verb}{kind}" for kind in KINDS)


def transfers_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            yield node.func.attr


def needed_actions(source: str) -> set[str]:
    tree = ast.parse(source)
    needed: set[str] = set()
    for name in names_in(tree):
        needed |= operations().get(name, set()) if name not in NOT_CALLS else set()
        needed |= WAITERS.get(name, set())
    for name in transfers_in(tree):
        needed |= TRANSFERS.get(name, set())
    return needed


@pytest.fixture(scope="module")
def needed() -> dict[str, set[str]]:
    """Files by the actions that they need."""
    found: dict[str, set[str]] = {}
    for file in sorted(VIGIL.rglob("*.py")):
        for action in needed_actions(file.read_text(encoding="utf-8")):
            found.setdefault(action, set()).add(str(file.relative_to(VIGIL)))
    return found


def allowed(*policies: tuple[str, ...]) -> set[str]:
    statements = (statement for policy in policies for statement in statements_of(*policy))
    return {action for statement in statements for action in actions_of(statement)}


OF_TASKS = (
    ("roles", "AirflowRole", "tasks"),
    ("roles", "AirflowRole", "sources"),
    ("training-stacks", "LauncherPolicy"),
)
OF_AIRFLOW = ("roles", "AirflowRole", "airflow")


def test_calls_are_found_however_they_are_written():
    source = """
client.get_paginator("list_objects_v2")
tell(sagemaker.describe_endpoint)
getattr(client, f"stop_{kind.api_name}")
s3.copy(source, bucket, key)
observed.copy()
"""
    assert {"s3:ListBucket", "sagemaker:DescribeEndpoint", "sagemaker:StopTransformJob"} < needed_actions(
        source
    )
    assert "s3:PutObject" not in needed_actions("observed.copy()")
    assert needed_actions("re.search(a, b)") == set()


def test_every_call_of_a_task_is_permitted(needed):
    permitted = allowed(*OF_TASKS, OF_AIRFLOW)
    assert {action: files for action, files in needed.items() if action not in permitted} == {}


def test_a_network_by_endpoints_reaches_every_service_but_the_price_list():
    endpoints = {
        declared["Properties"]["ServiceName"]["Fn::Sub"].removeprefix("com.amazonaws.${AWS::Region}.")
        for _, _, declared in resources("AWS::EC2::VPCEndpoint")
    }
    named = {"cloudwatch": "monitoring", "ecr": "ecr.api", "sagemaker": "sagemaker.api"}
    named["sagemaker-runtime"] = "sagemaker.runtime"
    called = {named.get(service, service) for service in SERVICES}
    assert called - endpoints == {"pricing"}
    of_airflow = {"airflow.api", "airflow.env", "airflow.ops", "kms", "secretsmanager"}
    assert endpoints - called == of_airflow


def test_no_service_is_asked_that_is_not_listed_here():
    asked = {
        node.args[0].value
        for file in VIGIL.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("client", "_client")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    # A source and an Airflow trigger ask this one by the name that they are given.
    assert asked | {"sqs"} == set(SERVICES)


def test_every_permission_of_tasks_is_needed(needed):
    assert allowed(*OF_TASKS) - needed.keys() == set()

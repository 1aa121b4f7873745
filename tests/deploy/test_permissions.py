"""What the tasks' code calls, held against what Airflow's role may do."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tests.deploy.policies import actions_of, listed, resources, statements_of
from tests.vigil.training.test_request import SPEC, requests_of, run_of
from vigil.aws import S3Location
from vigil.sagemaker_jobs import KINDS
from vigil.stacks.launch import FOLDER
from vigil.training.triggers.accepted import ACCEPTED
from vigil.training.triggers.incoming import INCOMING, SET_ASIDE

VIGIL = Path(__file__).resolve().parents[2] / "plugins" / "vigil"
SERVICES = (
    "cloudformation",
    "cloudwatch",
    "ec2",
    "ecr",
    "events",
    "iam",
    "logs",
    "mwaa",
    "pricing",
    "s3",
    "sagemaker",
    "sagemaker-runtime",
    "sns",
    "sqs",
    "ssm",
    "sts",
)
# Where the permissions of a service are called otherwise than the service.
PREFIXES = {"mwaa": "airflow", "sagemaker-runtime": "sagemaker"}
# Methods of other things than clients that are called like an operation, and what is asked of an embedded AWS
# only.
NOT_CALLS = {"search", "describe_parameters", "describe_repositories"}
# Operations of other services that are called like one of ours.
NAMESAKES = {"events:CreateEndpoint", "events:DeleteEndpoint", "events:DescribeEndpoint"}
NAMESAKES |= {"events:ListEndpoints", "events:UpdateEndpoint", "sns:DeleteEndpoint"}
# Operations whose action is called otherwise, or that take more than one.
ACTIONS = {
    "s3:AbortMultipartUpload": {"s3:AbortMultipartUpload"},
    "s3:CompleteMultipartUpload": {"s3:PutObject"},
    "s3:CreateMultipartUpload": {"s3:PutObject"},
    "s3:GetBucketEncryption": {"s3:GetEncryptionConfiguration"},
    "s3:GetPublicAccessBlock": {"s3:GetBucketPublicAccessBlock"},
    "s3:HeadBucket": {"s3:ListBucket"},
    "s3:HeadObject": {"s3:GetObject", "s3:GetObjectVersion"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:UploadPart": {"s3:PutObject"},
    "sns:PublishBatch": {"sns:Publish"},
    "sqs:DeleteMessageBatch": {"sqs:DeleteMessage"},
    # Nobody can be forbidden to ask who they are.
    "sts:GetCallerIdentity": set(),
    "cloudformation:CreateStack": {"cloudformation:TagResource", "iam:PassRole"},
    # It takes no role, and looks the image up with the caller's permissions.
    "sagemaker:CreateModelPackage": {"ecr:BatchGetImage", "ecr:DescribeImages"},
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
        for operation in model.operation_names:
            action = f"{PREFIXES.get(service, service)}:{operation}"
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
    ("roles", "AirflowRole", "images"),
    ("roles", "AirflowRole", "checks"),
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


def test_a_network_by_endpoints_reaches_every_service_that_has_an_endpoint():
    endpoints = {
        declared["Properties"]["ServiceName"]["Fn::Sub"].removeprefix("com.amazonaws.${AWS::Region}.")
        for _, _, declared in resources("AWS::EC2::VPCEndpoint")
    }
    named = {
        "cloudwatch": "monitoring",
        "ecr": "ecr.api",
        "mwaa": "airflow.api",
        "sagemaker": "sagemaker.api",
        "sagemaker-runtime": "sagemaker.runtime",
    }
    called = {named.get(service, service) for service in SERVICES}
    assert called - endpoints == {"iam", "pricing"}
    of_airflow = {"airflow.env", "airflow.ops", "ecr.dkr", "kms", "secretsmanager"}
    assert endpoints - called == of_airflow


def is_allowed(action: str, location: S3Location, *policies: tuple[str, ...]) -> bool:
    """Tell whether one of the policies allows something with an object."""
    arn = f"arn:${{AWS::Partition}}:s3:::${{BucketName}}/{location.key}"
    return any(
        action in actions_of(statement)
        and any(fnmatch(arn, one["Fn::Sub"]) for one in listed(statement["Resource"]) if "Fn::Sub" in one)
        for policy in policies
        for statement in statements_of(*policy)
    )


def test_tasks_may_write_and_take_away_where_they_do_and_nowhere_else():
    run, file = run_of(), "any.csv"
    accepted, set_aside = (S3Location("bucket", f"{folder}model/{file}") for folder in (ACCEPTED, SET_ASIDE))
    incoming = S3Location("bucket", f"{INCOMING}model/{file}")
    encoding = S3Location("bucket", "encodings/model/0123.json")
    judging = S3Location("bucket", "judging/any/input.csv")
    stack = S3Location("bucket", f"{FOLDER}/job/launch/script/train.sh")
    elsewhere = S3Location("bucket", "examples/any.csv")
    written = [
        run.export / file,
        run.dataset / file,
        run.code / file,
        accepted,
        set_aside,
        encoding,
        judging,
        stack,
    ]
    for place in written:
        assert is_allowed("s3:PutObject", place, *OF_TASKS), place
    for place in (incoming, elsewhere):
        assert not is_allowed("s3:PutObject", place, *OF_TASKS), place
    for place in (run.export / "manifest.json", run.dataset / "manifest.json", incoming):
        assert is_allowed("s3:DeleteObject", place, *OF_TASKS), place
    for place in (accepted, encoding, stack, elsewhere):
        assert not is_allowed("s3:DeleteObject", place, *OF_TASKS), place
    for place in [*written, incoming, elsewhere]:
        assert is_allowed("s3:GetObject", place, *OF_TASKS), place


def test_jobs_may_read_and_write_where_they_do_and_nowhere_else():
    requests = [
        requests_of(SPEC)[name] for name in ("CreateTrainingJob", "CreateTransformJob", "CreateProcessingJob")
    ]
    found = set(re.findall(r's3://bucket/([^"]+)', json.dumps(requests)))
    assert len(found) >= 8
    role = ("roles", "SageMakerRole", "pipeline")
    for key in found:
        for action in ("s3:GetObject", "s3:PutObject"):
            assert is_allowed(action, S3Location("bucket", key), role), key
    for key in ("incoming/model/any.csv", "accepted/model/any.csv", "exports/any.csv", "training-stacks/any"):
        assert not is_allowed("s3:GetObject", S3Location("bucket", key), role), key


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

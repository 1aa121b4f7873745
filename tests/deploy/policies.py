"""The templates as tests read them: resources, policies, statements."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from deploy.templates import FOLDER, Template, read_template

Statement = dict[str, Any]
STACK_TEMPLATES = FOLDER.parent / "include" / "configs" / "cloudformation"
TEMPLATES = [*sorted(FOLDER.glob("*.yaml")), *sorted(STACK_TEMPLATES.glob("*.yaml"))]

_ARN = "arn:aws:{}:eu-west-1:123456789012:any"
# What airflow.yaml needs to know besides.
SOME_PARAMETERS = {
    "AirflowRoleArn": _ARN.format("iam"),
    "AlertTopicArn": _ARN.format("sns"),
    "DeleteDeadLetterQueueArn": _ARN.format("sqs"),
    "ImagePushQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/any",
    "InstanceBoundaryArn": "arn:aws:iam::123456789012:policy/any",
    "KeyArn": _ARN.format("kms"),
    "OperationsTopicArn": _ARN.format("sns"),
    "SageMakerRoleArn": "arn:aws:iam::123456789012:role/any",
    "ScheduleGroupName": "any",
    "SchedulerRoleArn": "arn:aws:iam::123456789012:role/any",
    "StackRoleArn": "arn:aws:iam::123456789012:role/any",
}


@cache
def template(name: str) -> Template:
    """Return a template by its name, wherever it lies."""
    folder: Path = next(file.parent for file in TEMPLATES if file.stem == name)
    return read_template(name, folder)


def listed(value: Any) -> list[Any]:
    """Return a value, or the list that it is."""
    return value if isinstance(value, list) else [value]


def actions_of(statement: Statement) -> list[str]:
    """Return the actions of a statement."""
    return listed(statement["Action"])


def resources(*types: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield template, name and declaration of every resource of some types; of all without a type."""
    for file in TEMPLATES:
        for name, declared in template(file.stem).content["Resources"].items():
            if not types or declared["Type"] in types:
                yield file.stem, name, declared


def identity_policies() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield template, resource, policy and document of what says what somebody may do."""
    for where, name, declared in resources("AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
        properties = declared["Properties"]
        if "PolicyDocument" in properties:
            yield where, name, "", properties["PolicyDocument"]
        for policy in properties.get("Policies", []):
            # One that depends on a condition stands inside of Fn::If.
            settled = policy["Fn::If"][1] if "Fn::If" in policy else policy
            yield where, name, settled["PolicyName"], settled["PolicyDocument"]


def resource_policies() -> Iterator[tuple[str, str, Statement]]:
    """Yield template, resource and statement of what says who may do something with a resource."""
    for where, name, declared in resources():
        properties = declared.get("Properties", {})
        if declared["Type"] == "AWS::KMS::Key":
            documents = [properties["KeyPolicy"]]
        elif declared["Type"].endswith(("::QueuePolicy", "::TopicPolicy", "::BucketPolicy")):
            documents = [properties["PolicyDocument"]]
        else:
            documents = []
        yield from ((where, name, statement) for one in documents for statement in one["Statement"])


def statements_of(where: str, name: str, policy: str = "") -> list[Statement]:
    """Return the statements of one policy."""
    (found,) = [document for *place, document in identity_policies() if place == [where, name, policy]]
    return list(found["Statement"])

"""What a schedule calls: any action of an AWS service, a queue, a topic or an event bus."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from local_aws.clients import Clients

_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([a-z0-9]+):([a-zA-Z0-9]+)")
# Services whose name in an ARN, which is that of their SDK, is not the one that boto3 has for them.
_RENAMED = {
    "cloudwatchevents": "events",
    "cloudwatchlogs": "logs",
    "costexplorer": "ce",
    "elasticloadbalancingv2": "elbv2",
    "eventbridge": "events",
    "sfn": "stepfunctions",
}
# What only reads is no target.
_READS = (
    "adminGet", "adminList", "batchDescribe", "batchGet", "batchRead", "describe", "discover", "get",
    "invokeModel", "isAuthorized", "list", "lookup", "poll", "query", "read", "receive", "retrieve", "scan",
    "search", "select", "testConnection", "testMigration", "transactGet", "translateDocument", "validate",
)  # fmt: skip


class TargetError(ValueError):
    """The refusal of a target."""


@dataclass(frozen=True)
class Call:
    """A call of an AWS service, ready to be made."""

    service: str
    region: str
    method: str
    parameters: Mapping[str, Any]

    def make(self, clients: Clients) -> None:
        """Call the service."""
        getattr(clients.get(self.service, self.region), self.method)(**self.parameters)


def call_of(target: Mapping[str, Any], region: str, event: Mapping[str, Any]) -> Call:
    """Tell what calling a target means.

    Args:
        target: as the schedule has it.
        region: of the schedule, in which universal targets are called.
        event: what a templated target without an input gets.

    Raises:
        TargetError: the embedded AWS, or the cloud, has no such target, or not with this input.
    """
    universal = _UNIVERSAL.fullmatch(target["Arn"])
    if universal:
        return _universal(universal.group(1), universal.group(2), region, target.get("Input", "{}"))
    parts = target["Arn"].split(":", 5)
    text = target.get("Input") or json.dumps(event)
    if len(parts) == 6 and parts[2] == "sqs":
        return _to_queue(target, parts[3], parts[5], text, parts[4])
    if len(parts) == 6 and parts[2] == "sns":
        return Call("sns", parts[3], "publish", {"TopicArn": target["Arn"], "Message": text})
    if len(parts) == 6 and parts[2] == "events":
        return _to_bus(target, parts[3], text)
    raise TargetError(
        f"{target['Arn']} is no target of the embedded AWS: it knows queues, topics, event buses and"
        " universal targets, arn:aws:scheduler:::aws-sdk:service:apiAction."
    )


def _to_queue(target: Mapping[str, Any], region: str, name: str, text: str, account: str) -> Call:
    group = target.get("SqsParameters", {}).get("MessageGroupId")
    if name.endswith(".fifo") and not group:
        raise TargetError("SqsParameters.MessageGroupId is required for a FIFO queue.")
    # The embedded AWS, like the cloud, takes a queue's ARN apart to find it.
    parameters = {"QueueUrl": f"https://sqs.{region}.amazonaws.com/{account}/{name}", "MessageBody": text}
    return Call("sqs", region, "send_message", parameters | ({"MessageGroupId": group} if group else {}))


def _to_bus(target: Mapping[str, Any], region: str, text: str) -> Call:
    given = target.get("EventBridgeParameters")
    if not given:
        raise TargetError("EventBridgeParameters must be specified for an event bus.")
    entry = {
        "EventBusName": target["Arn"],
        "Source": given["Source"],
        "DetailType": given["DetailType"],
        "Detail": text,
    }
    return Call("events", region, "put_events", {"Entries": [entry]})


def _universal(service: str, action: str, region: str, text: str) -> Call:
    name, model = _service(service)
    operation = action[:1].upper() + action[1:]
    if operation not in model.operation_names or action[:1].isupper():
        raise TargetError(f"{action} is no action of {service}; it must be in camel case.")
    if action.startswith(_READS):
        raise TargetError(f"{service}:{action} only reads: the scheduler does not support it.")
    try:
        given = json.loads(text)
    except ValueError as error:
        raise TargetError(f"Invalid RequestJson provided. Reason: {error}") from error
    shape = model.operation_model(operation).input_shape
    parameters = _named_by_api(given, shape) if shape else given
    if shape:
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise TargetError(f"Invalid RequestJson provided. Reason: {report.generate_report()}")
    return Call(name, region, xform_name(operation), parameters)


def _service(name: str) -> tuple[str, ServiceModel]:
    """Find a service by the name that its SDK has in ARNs."""
    found = _RENAMED.get(name, name)
    if found in _session().get_available_services():
        model = _model(found)
        if name in _RENAMED or name == re.sub(r"[ -]", "", str(model.service_id)).lower():
            return found, model
    raise TargetError(f"{name} is no service that the scheduler supports.")


@cache
def _session() -> Any:
    return botocore.session.get_session()


@cache
def _model(service: str) -> ServiceModel:
    return _session().get_service_model(service)


def _named_by_api(given: Any, shape: Shape) -> Any:
    """Turn the SDK's names, which all begin with a capital, into those of the API."""
    if isinstance(shape, StructureShape) and isinstance(given, dict):
        members = {name[:1].upper() + name[1:]: name for name in shape.members}
        unknown = sorted(given.keys() - members.keys())
        if unknown:
            raise TargetError(f"Invalid RequestJson provided. Reason: The field {unknown[0]} is not known.")
        return {
            members[key]: _named_by_api(value, shape.members[members[key]]) for key, value in given.items()
        }
    if isinstance(shape, ListShape) and isinstance(given, list):
        return [_named_by_api(item, shape.member) for item in given]
    if isinstance(shape, MapShape) and isinstance(given, dict):
        return {key: _named_by_api(value, shape.value) for key, value in given.items()}
    return given

"""EventBridge rules that reach SNS too, honour their state and their targets' input.

Moto sends to every rule whether it is enabled or not, fails the whole call on a target that it does not know,
and passes on events of S3 untransformed.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import cache
from typing import Any

from moto.events.models import Rule
from moto.events.utils import EventTemplateParser
from moto.sns.models import sns_backends

log = logging.getLogger(__name__)


def apply() -> None:
    """Let rules send by our rules."""
    setattr(Rule, "send_to_targets", _send_to_targets)  # noqa: B010 - mypy refuses the assignment


def _send_to_targets(rule: Rule, original_event: Any, transform_input: bool = True) -> None:
    if rule.state != "ENABLED" or not rule.event_pattern.get_pattern():
        return
    event = original_event | {"time": _as_iso(original_event["time"])}
    event.pop("ingestion-time", None)
    if not rule.event_pattern.matches_event(event):
        return
    for target in rule.targets:
        try:
            _send_to_target(rule, target, event)
        except Exception:  # one target's trouble is no other's, as in the cloud
            log.exception("The rule %s could not reach %s", rule.name, target["Arn"])


def _send_to_target(rule: Rule, target: dict[str, Any], event: dict[str, Any]) -> None:
    service, region, _, resource = target["Arn"].split(":", 5)[2:]
    message = _message(target, event)
    if service == "sqs":
        _send_to_queue(rule, target, region, resource, message)
    elif service == "sns":
        sns_backends[rule.account_id][region].publish(message, target["Arn"])
    elif service == "logs":
        rule._send_to_cw_log_group(resource.split(":")[1], json.loads(message))
    else:
        raise NotImplementedError(f"The embedded AWS has no targets of {service}")


def _send_to_queue(rule: Rule, target: dict[str, Any], region: str, name: str, message: str) -> None:
    from moto.sqs.models import sqs_backends

    group = target.get("SqsParameters", {}).get("MessageGroupId")
    sqs_backends[rule.account_id][region].send_message(queue_name=name, message_body=message, group_id=group)


def _message(target: dict[str, Any], event: dict[str, Any]) -> str:
    """Give what a target gets of an event: its own text, a part of it, a template filled, or all."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_parse(target["InputPath"]).find(event)[0].value)
    transformer = target.get("InputTransformer")
    if transformer is None:
        return json.dumps(event)
    text = transformer["InputTemplate"]
    for name, path in transformer.get("InputPathsMap", {}).items():
        found = _parse(path).find(event)
        text = text.replace(f"<{name}>", EventTemplateParser._stringify(found[0].value) if found else "")
    return str(text.replace("<aws.events.event.json>", json.dumps(event)))


@cache
def _parse(path: str) -> Any:
    from jsonpath_ng.ext import parse  # type: ignore[import-untyped]

    return parse(path)


def _as_iso(moment: Any) -> str:
    if isinstance(moment, str):
        return moment
    return datetime.fromtimestamp(float(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Schedules that are checked before they are kept, as the cloud checks them.

Moto takes any expression, target and role, fails on a group that is not there, and forgets what is to become
of a schedule that is updated. What fires them is in `local_aws.scheduler`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from moto.core.exceptions import JsonRESTError
from moto.core.utils import unix_time
from moto.scheduler.exceptions import ScheduleGroupNotFound, ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, ScheduleGroup
from moto.scheduler.responses import EventBridgeSchedulerResponse

from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.validation import check_members
from local_aws.scheduler.expressions import ExpressionError, timetable
from local_aws.scheduler.roles import can_be_assumed
from local_aws.scheduler.targets import TargetError, call_of

_RETRY_POLICY = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
_create_schedule = EventBridgeSchedulerBackend.create_schedule
_update_schedule = EventBridgeSchedulerBackend.update_schedule
_create_group = EventBridgeSchedulerBackend.create_schedule_group
_delete_group = EventBridgeSchedulerBackend.delete_schedule_group
_answer_update = EventBridgeSchedulerResponse.update_schedule


def apply() -> None:
    """Let schedules be checked, and groups be there once."""
    for name, function in (
        ("create_schedule", _create_checked),
        ("update_schedule", _update_checked),
        ("create_schedule_group", _create_new_group),
        ("delete_schedule_group", _delete_known_group),
    ):
        setattr(EventBridgeSchedulerBackend, name, function)
    setattr(EventBridgeSchedulerResponse, "update_schedule", _update_whole)  # noqa: B010


def _create_checked(backend: EventBridgeSchedulerBackend, **given: Any) -> Schedule:
    _check(backend, given)
    return _create_schedule(backend, **_complete(given))


def _update_checked(backend: EventBridgeSchedulerBackend, **given: Any) -> Schedule:
    backend.get_schedule(given["group_name"], given["name"])
    _check(backend, given)
    return _update_schedule(backend, **_complete(given))


def _update_whole(response: EventBridgeSchedulerResponse) -> str:
    """Update everything: what the request leaves out takes its default, what comes after too."""
    answer = _answer_update(response)
    name = response.uri.split("?")[0].split("/")[-1]
    schedule = response.scheduler_backend.get_schedule(response._get_param("GroupName"), name)
    schedule.action_after_completion = response._get_param("ActionAfterCompletion") or "NONE"
    return answer


def _create_new_group(backend: EventBridgeSchedulerBackend, name: str, tags: Any) -> ScheduleGroup:
    if name in backend.schedule_groups:
        raise JsonRESTError("ConflictException", f"Schedule group {name} already exists.")
    return _create_group(backend, name, tags or [])


def _delete_known_group(backend: EventBridgeSchedulerBackend, name: str | None) -> None:
    if name == "default":
        raise ValidationException("The default schedule group cannot be deleted.")
    backend.get_schedule_group(name)
    _delete_group(backend, name)


def _check(backend: EventBridgeSchedulerBackend, given: dict[str, Any]) -> None:
    """Refuse what the cloud refuses, and what never would fire here."""
    group = given["group_name"] or "default"
    if group not in backend.schedule_groups:
        raise ScheduleGroupNotFound(group)
    target = given["target"]
    try:
        check_members(_as_request(given), _model().shape_for("CreateScheduleInput"))
        zone = given["schedule_expression_timezone"] or "UTC"
        timetable(given["schedule_expression"], zone, unix_time(), given["start_date"], given["end_date"])
        call_of(target, backend.region_name, {})
    except AwsError as error:
        raise ValidationException(error.message) from error
    except (ExpressionError, TargetError) as error:
        raise ValidationException(str(error)) from error
    if not can_be_assumed(target["RoleArn"], backend.schedule_groups[group].arn):
        raise ValidationException(
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        )


def _complete(given: dict[str, Any]) -> dict[str, Any]:
    policy = _RETRY_POLICY | given["target"].get("RetryPolicy", {})
    whole = given | {
        "state": given["state"] or "ENABLED",
        "target": given["target"] | {"RetryPolicy": policy},
    }
    if "action_after_completion" in given:
        whole["action_after_completion"] = given["action_after_completion"] or "NONE"
    return whole


def _as_request(given: dict[str, Any]) -> dict[str, Any]:
    """Name what moto read of a request as the request does."""
    named = {"".join(word.title() for word in name.split("_")): value for name, value in given.items()}
    return {name: value for name, value in named.items() if value is not None}


@cache
def _model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("scheduler")

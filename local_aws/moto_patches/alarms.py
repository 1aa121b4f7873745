"""Alarms that begin without data, keep their state when they are changed, and have their changes told.

Moto begins with OK and begins anew at every change; it tells nobody. What evaluates them is in
`local_aws.alarms`.
"""

from __future__ import annotations

import logging
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterValue
from moto.cloudwatch.models import Alarm, CloudWatchBackend

from local_aws.alarms.evaluation import INSUFFICIENT_DATA
from local_aws.alarms.kept import rule_of
from local_aws.alarms.notices import UNTOLD, notice_of, untold

_STATE = (UNTOLD, "history", "state_reason", "state_reason_data", "state_updated_timestamp", "state_value")
_ACTIONS = ("alarm_actions", "insufficient_data_actions", "ok_actions")
_put_metric_alarm = CloudWatchBackend.put_metric_alarm
_update_state = Alarm.update_state
log = logging.getLogger(__name__)


def apply() -> None:
    """Let alarms have the states of the cloud."""
    for owner, name, function in (
        (CloudWatchBackend, "put_metric_alarm", _put_keeping_state),
        (Alarm, "update_state", _update_and_note),
    ):
        setattr(owner, name, function)


def _put_keeping_state(backend: CloudWatchBackend, **given: Any) -> Alarm:
    _refuse_unknown_actions(given)
    before = backend.alarms.get(given["name"])
    alarm = _put_metric_alarm(backend, **given)
    if before is None:
        alarm.state_value = INSUFFICIENT_DATA
    else:
        vars(alarm).update({name: vars(before)[name] for name in _STATE if name in vars(before)})
    if rule_of(alarm) is None:
        log.warning("The alarm %s is of a kind that is not evaluated here: set its state", alarm.name)
    return alarm


def _refuse_unknown_actions(given: dict[str, Any]) -> None:
    for name in _ACTIONS:
        for arn in given.get(name) or []:
            parts = arn.split(":")
            if len(parts) != 6 or parts[2] != "sns":
                raise InvalidParameterValue(
                    f"The embedded AWS has no alarm action {arn}: give a topic of SNS."
                )


def _update_and_note(alarm: Alarm, reason: str, reason_data: str, state_value: str) -> None:
    before = alarm.state_value
    _update_state(alarm, reason, reason_data, state_value)
    if alarm.state_value != before and alarm.actions_enabled:
        notice = notice_of(alarm, before)
        if notice.topics:
            untold(alarm).append(notice)

"""What is told of an alarm that changes its state: CloudWatch's message, and to whom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from moto.cloudwatch.models import Alarm

from local_aws.alarms.evaluation import ALARM, INSUFFICIENT_DATA, OK, as_text

_LONGEST_SUBJECT = 100
UNTOLD = "_local_aws_untold"


@dataclass(frozen=True)
class Notice:
    """A message to the topics that a state's actions name."""

    topics: tuple[str, ...]
    subject: str
    message: str


def untold(alarm: Alarm) -> list[Notice]:
    """Return the notices of an alarm that are still to be told; kept with it, they outlive a restart."""
    notices: list[Notice] = vars(alarm).setdefault(UNTOLD, [])
    return notices


def notice_of(alarm: Alarm, before: str) -> Notice:
    """Write what is told of an alarm that has just changed its state."""
    actions = {
        ALARM: alarm.alarm_actions,
        OK: alarm.ok_actions,
        INSUFFICIENT_DATA: alarm.insufficient_data_actions,
    }
    region = _name_of(alarm.region_name)
    return Notice(
        topics=tuple(actions[alarm.state_value]),
        subject=f'{alarm.state_value}: "{alarm.name}" in {region}'[:_LONGEST_SUBJECT],
        message=json.dumps(_content(alarm, before, region)),
    )


def _content(alarm: Alarm, before: str, region: str) -> dict[str, Any]:
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": alarm.alarm_arn.split(":")[4],
        "AlarmConfigurationUpdatedTimestamp": as_text(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": as_text(alarm.state_updated_timestamp),
        "Region": region,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        **({"AlarmRule": alarm.rule} if alarm.rule else {"Trigger": _trigger(alarm)}),
    }


def _trigger(alarm: Alarm) -> dict[str, Any]:
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": "Statistic",
        "Statistic": alarm.statistic and alarm.statistic.upper(),
        "Unit": alarm.unit,
        "Dimensions": [{"value": one.value, "name": one.name} for one in alarm.dimensions],
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }


@cache
def _name_of(region: str) -> str:
    loader = botocore.session.get_session().get_component("data_loader")
    for partition in loader.load_data("partitions")["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region

"""What SQS tells CloudWatch of its queues; moto's tells nothing.

Told is what alarms ask for, each time that they are evaluated: how a queue is then stands for the minute that
has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.sqs.models import Queue, sqs_backends

from local_aws.alarms.evaluation import MINUTE_S

NAMESPACE = "AWS/SQS"
_FIGURES: dict[str, Callable[[Queue, float], float]] = {
    "ApproximateAgeOfOldestMessage": lambda queue, now: max(
        (now - (message.sent_timestamp or 0) / 1000 for message in list(queue._messages)), default=0.0
    ),
    "ApproximateNumberOfMessagesNotVisible": lambda queue, now: (
        queue.approximate_number_of_messages_not_visible
    ),
    "ApproximateNumberOfMessagesVisible": lambda queue, now: queue.approximate_number_of_messages,
}


def tell_of_queues(backend: CloudWatchBackend, alarms: list[Alarm], now: float) -> None:
    """Put the points that alarms on queues ask for."""
    queues = sqs_backends[backend.account_id][backend.region_name].queues
    minute = datetime.fromtimestamp(now // MINUTE_S * MINUTE_S, UTC).replace(tzinfo=None) - timedelta(
        minutes=1
    )
    asked = {
        (alarm.metric_name, one.value)
        for alarm in alarms
        if alarm.namespace == NAMESPACE and alarm.metric_name in _FIGURES
        for one in alarm.dimensions
        if one.name == "QueueName" and one.value in queues
    }
    for metric, name in sorted(asked):
        point: dict[str, Any] = {
            "MetricName": metric,
            "Dimensions": [{"Name": "QueueName", "Value": name}],
            "Timestamp": minute,
            "Value": float(_FIGURES[metric](queues[name], now)),
        }
        backend.put_metric_data(NAMESPACE, [point])

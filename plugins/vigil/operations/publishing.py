"""Publishes figures as CloudWatch metrics; `deploy/monitoring.yaml` has alarms on each of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from vigil.errors import CloudError
from vigil.operations.measuring import Figures

NAMESPACE = "Vigil"


def publish(client: Any, environment: str, figures: Figures, now: datetime) -> int:
    """Send figures in one call; return how many. One that there is none of is not sent.

    Args:
        client: boto3 client of cloudwatch.
        environment: their dimension.
        figures: how far the system is behind.
        now: when they were measured.

    Raises:
        CloudError: CloudWatch did not take them.
    """
    metrics = [
        _metric(environment, now, "OldestUnsentAlert", figures.oldest_unsent_alert.total_seconds()),
        _metric(environment, now, "DirtyWindows", figures.dirty_windows, "Count"),
        *(
            _metric(environment, now, "LastSuccessAge", age.total_seconds(), Dag=dag_id)
            for dag_id, age in figures.success_ages.items()
        ),
    ]
    if figures.detection_lag is not None:
        metrics.append(_metric(environment, now, "DetectionLag", figures.detection_lag.total_seconds()))
    try:
        client.put_metric_data(Namespace=NAMESPACE, MetricData=metrics)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(
            f"CloudWatch does not take the metrics ({error}): check the role's cloudwatch:PutMetricData for "
            f"the namespace {NAMESPACE}. Until then the alarm on DetectionLag rings for want of data."
        ) from error
    return len(metrics)


def _metric(
    environment: str, now: datetime, name: str, value: float, unit: str = "Seconds", **dimensions: str
) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [
            {"Name": key, "Value": text} for key, text in {"Environment": environment, **dimensions}.items()
        ],
        "Timestamp": now.replace(tzinfo=UTC),
        "Value": value,
        "Unit": unit,
    }

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import EndpointConnectionError

from vigil.aws import Aws
from vigil.errors import CloudError
from vigil.operations.measuring import Figures
from vigil.operations.publishing import NAMESPACE, publish

NOW = datetime(2026, 11, 2, 3, 7)
FIGURES = Figures(
    detection_lag=timedelta(minutes=7),
    oldest_unsent_alert=timedelta(),
    dirty_windows=3,
    success_ages={"detect_anomalies": timedelta(minutes=1), "retrain_weekly": timedelta(days=2)},
)


def sent(aws: Aws, environment: str) -> dict[str, tuple[float, str]]:
    """Return each metric of an environment, by its name and its DAG's."""
    client = aws.client("cloudwatch")
    found = {}
    for metric in client.list_metrics(Namespace=NAMESPACE)["Metrics"]:
        dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
        if dimensions.pop("Environment") != environment:
            continue
        (point,) = client.get_metric_statistics(
            **metric, StartTime=NOW, EndTime=NOW + timedelta(minutes=1), Period=60, Statistics=["Maximum"]
        )["Datapoints"]
        assert point["Timestamp"].replace(tzinfo=None) == NOW
        found["/".join([metric["MetricName"], *dimensions.values()])] = (point["Maximum"], point["Unit"])
    return found


def test_every_figure_is_a_metric_of_its_environment(aws: Aws) -> None:
    environment = f"e-{uuid4().hex[:8]}"
    assert publish(aws.client("cloudwatch"), environment, FIGURES, NOW) == 5
    assert sent(aws, environment) == {
        "DetectionLag": (420, "Seconds"),
        "OldestUnsentAlert": (0, "Seconds"),
        "DirtyWindows": (3, "Count"),
        "LastSuccessAge/detect_anomalies": (60, "Seconds"),
        "LastSuccessAge/retrain_weekly": (2 * 86_400, "Seconds"),
    }


def test_a_lag_that_there_is_none_of_is_not_sent(aws: Aws) -> None:
    environment = f"e-{uuid4().hex[:8]}"
    publish(aws.client("cloudwatch"), environment, Figures(None, timedelta(), 0, {}), NOW)
    assert sent(aws, environment).keys() == {"OldestUnsentAlert", "DirtyWindows"}


def test_what_cloudwatch_does_not_take_is_an_error_that_says_so() -> None:
    class Deaf:
        def put_metric_data(self, **_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="https://monitoring.example")

    with pytest.raises(CloudError, match="PutMetricData"):
        publish(Deaf(), "local", FIGURES, NOW)

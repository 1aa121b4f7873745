from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def test_a_server_that_runs_for_days_forgets_old_points(client: Any, name: str) -> None:
    cloudwatch = client("cloudwatch")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    for number, values in enumerate(([1.0], [2.0])):
        point = {"MetricName": "m", "Timestamp": since + timedelta(minutes=number), "Values": values}
        cloudwatch.put_metric_data(Namespace=name, MetricData=[{**point, "Counts": [15_000.0]}])
    points = cloudwatch.get_metric_statistics(
        Namespace=name,
        MetricName="m",
        StartTime=since,
        EndTime=since + timedelta(hours=1),
        Period=60,
        Statistics=["SampleCount", "Maximum"],
    )["Datapoints"]
    assert {point["Maximum"]: point["SampleCount"] for point in points} == {1.0: 5_000, 2.0: 15_000}

"""What the demo reads back from the database, S3, the registry and the endpoint to check itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_stack.demo.picture import Incident, Judged
from vigil.aws import Aws, S3Location
from vigil.database import Database, connected


@dataclass(frozen=True)
class Counts:
    """Totals of the database.

    Attributes:
        series: how many there are.
        events: rows of raw events.
        windows: rows of counts.
        observed: sum of the counts.
        judged: windows with a verdict.
        published: alerts that SNS took.
    """

    series: int
    events: int
    windows: int
    observed: int
    judged: int
    published: int


def counts(database: Database) -> Counts:
    """Read the totals."""
    queries = (
        "SELECT COUNT(*) FROM series",
        "SELECT COUNT(*) FROM events",
        "SELECT COUNT(*) FROM window_counts",
        "SELECT COALESCE(SUM(observed), 0) FROM window_counts",
        "SELECT COUNT(DISTINCT series, window_start) FROM predictions",
        "SELECT COUNT(*) FROM alerts WHERE published_at IS NOT NULL",
    )
    return Counts(*(int(_rows(database, query)[0][0]) for query in queries))


def judged_windows(database: Database, series: str, since: datetime) -> list[Judged]:
    """Read the last verdict on each window of a series."""
    rows = _rows(
        database,
        "SELECT p.window_start, p.observed, p.expected, p.lower_bound, p.upper_bound FROM predictions p"
        " WHERE p.series = %s AND p.window_start >= %s ORDER BY p.window_start, p.judged_at",
        (series, since),
    )
    return list({row[0]: Judged(*row) for row in rows}.values())


def incidents(database: Database) -> list[Incident]:
    """Read every incident in order."""
    return [
        Incident(*row)
        for row in _rows(
            database,
            "SELECT series, kind, opened_at, last_anomalous, windows, peak_score FROM incidents"
            " ORDER BY series, opened_at",
        )
    ]


def opening_of(database: Database, series: str, window: datetime) -> str | None:
    """Return the identity of the alert that opened an incident, once it is published."""
    rows = _rows(
        database,
        "SELECT identity FROM alerts WHERE subject = %s AND identity LIKE %s AND published_at IS NOT NULL",
        (series, f"{series}/{window:%Y%m%dT%H%MZ}/opened/%"),
    )
    return str(rows[0][0]) if rows else None


def replayed_events(database: Database, source: str) -> int:
    """Return how many raw events of a source are stored."""
    rows = _rows(
        database,
        "SELECT COUNT(*) FROM events JOIN series USING (series) WHERE series.source = %s",
        (source,),
    )
    return int(rows[0][0])


def unjudged_windows(database: Database, source: str, since: datetime) -> int:
    """Return how many counted windows of a source have no verdict."""
    rows = _rows(
        database,
        "SELECT COUNT(*) FROM window_counts w JOIN series s USING (series)"
        " LEFT JOIN predictions p USING (series, window_start, revision)"
        " WHERE s.source = %s AND w.window_start >= %s AND p.series IS NULL",
        (source, since),
    )
    return int(rows[0][0])


def received(aws: Aws, queue_url: str) -> list[dict[str, Any]]:
    """Take the alerts that have arrived in the queue; with their text and attributes."""
    answer = aws.client("sqs").receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=1
    )
    messages = []
    for message in answer.get("Messages", []):
        attributes = message.get("MessageAttributes", {})
        messages.append(
            {
                "identity": attributes["identity"]["StringValue"],
                "text": message["Body"],
            }
        )
        aws.client("sqs").delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return messages


@dataclass(frozen=True)
class Training:
    """One training and release, as AWS tells it."""

    training_job: str
    duration_s: float
    metrics: dict[str, Any]
    gate_passed: bool
    model_package_version: int
    endpoint_model_data: str


def training(aws: Aws, registered: dict[str, Any], endpoint: str) -> Training:
    """Read a release back from the registry, the training job and the endpoint that serves it."""
    sagemaker = aws.client("sagemaker")
    package = sagemaker.describe_model_package(ModelPackageName=registered["model_package_arn"])
    made_from = package["CustomerMetadataProperties"]
    job = sagemaker.describe_training_job(TrainingJobName=made_from["training_job"])
    evaluation = S3Location.parse(made_from["evaluation"])
    body = aws.client("s3").get_object(Bucket=evaluation.bucket, Key=evaluation.key)["Body"].read()
    return Training(
        training_job=made_from["training_job"],
        duration_s=round((job["TrainingEndTime"] - job["CreationTime"]).total_seconds(), 1),
        metrics=json.loads(body)["candidate"]["metrics"],
        gate_passed=package["ModelApprovalStatus"] == "Approved",
        model_package_version=package["ModelPackageVersion"],
        endpoint_model_data=served_artifact(aws, endpoint),
    )


def served_artifact(aws: Aws, endpoint: str) -> str:
    """Return the artifact that an endpoint serves, from its configuration down to its model."""
    sagemaker = aws.client("sagemaker")
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    return str(model["PrimaryContainer"]["ModelDataUrl"])


def _rows(database: Database, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())

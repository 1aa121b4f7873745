from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from vigil.operations.measuring import Figures
from vigil.operations.publishing import publish

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ENVIRONMENT = f"e-{uuid4().hex[:8]}"
STACK = f"{ENVIRONMENT}-monitoring"
TOPIC = f"arn:aws:sns:eu-west-1:123456789012:{ENVIRONMENT}-operations"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/vigil-image-pushes"
PARAMETERS = {
    "Environment": ENVIRONMENT,
    "OperationsTopicArn": TOPIC,
    "ImagePushQueueUrl": QUEUE,
    "ImagePushDeadLetterQueueUrl": f"{QUEUE}-dead",
}
LIMIT_S = 20
Alarm = dict[str, Any]


@pytest.fixture(scope="module")
def client(local_aws: str) -> Any:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return lambda name: boto3.client(name, endpoint_url=local_aws, region_name="eu-west-1", **keys)


def request(**changes: str) -> dict[str, Any]:
    return {
        "StackName": STACK,
        "TemplateBody": (DEPLOY / "monitoring.yaml").read_text(encoding="utf-8"),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in (PARAMETERS | changes).items()
        ],
    }


def alarms_of(client: Any) -> dict[str, Alarm]:
    found = client("cloudwatch").describe_alarms(AlarmNamePrefix=f"vigil-{ENVIRONMENT}-")["MetricAlarms"]
    return {alarm["AlarmName"].removeprefix(f"vigil-{ENVIRONMENT}-"): alarm for alarm in found}


@pytest.fixture(scope="module")
def told(client: Any) -> Iterator[Callable[[], dict[str, Any]]]:
    """The next message about the detection lag in the queue of operators."""
    topic = client("sns").create_topic(Name=TOPIC.rsplit(":", 1)[1])["TopicArn"]
    queue = client("sqs").create_queue(QueueName=f"{ENVIRONMENT}-operations")["QueueUrl"]
    arn = topic.replace(":sns:", ":sqs:")
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def receive() -> dict[str, Any]:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            received = client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
            for one in received:
                client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
                content: dict[str, Any] = json.loads(json.loads(one["Body"])["Message"])
                if content["AlarmName"].endswith("detection-lag"):
                    return content
        pytest.fail("operators were told nothing of the detection lag")

    yield receive
    client("sqs").delete_queue(QueueUrl=queue)
    client("sns").delete_topic(TopicArn=topic)


def measured_by(metric: dict[str, Any]) -> tuple[str, frozenset[tuple[str, str]]]:
    return metric["MetricName"], frozenset((one["Name"], one["Value"]) for one in metric["Dimensions"])


@pytest.fixture(scope="module")
def alarms(client: Any, told: Any) -> Iterator[dict[str, Alarm]]:
    """The alarms of the stack, really made."""
    client("cloudformation").create_stack(**request())
    stack = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    yield alarms_of(client)
    client("cloudformation").delete_stack(StackName=STACK)
    assert alarms_of(client) == {}
    assert (
        client("cloudwatch")
        .list_dashboards(DashboardNamePrefix=f"vigil-{ENVIRONMENT}")
        .get("DashboardEntries", [])
        == []
    )


def test_there_is_an_alarm_on_every_metric_that_is_sent(client: Any, alarms: dict[str, Alarm]) -> None:
    by_dag = {name.removeprefix("last-success-") for name in alarms if name.startswith("last-success-")}
    assert by_dag
    figures = Figures(timedelta(), timedelta(), 0, dict.fromkeys(by_dag, timedelta()))
    publish(client("cloudwatch"), ENVIRONMENT, figures, datetime(2026, 11, 2))
    sent = {
        measured_by(metric)
        for metric in client("cloudwatch").list_metrics(Namespace="Vigil")["Metrics"]
        if ("Environment", ENVIRONMENT) in measured_by(metric)[1]
    }
    watched = {measured_by(alarm) for alarm in alarms.values() if alarm["Namespace"] == "Vigil"}
    assert watched == sent


def test_alarms_on_queues_name_the_queues(alarms: dict[str, Alarm]) -> None:
    named = {
        name: alarm["Dimensions"][0]["Value"]
        for name, alarm in alarms.items()
        if alarm["Namespace"] == "AWS/SQS"
    }
    assert named == {
        "image-pushes-dead": "vigil-image-pushes-dead",
        "image-pushes-wait": "vigil-image-pushes",
    }


def test_of_every_alarm_and_its_end_operators_are_told(alarms: dict[str, Alarm]) -> None:
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC], name
        assert alarm["ActionsEnabled"], name
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold", name
        assert alarm["AlarmDescription"], name


def test_the_lag_rings_when_nothing_is_sent_and_a_dag_that_is_off_does_not(alarms: dict[str, Alarm]) -> None:
    silence = {name: alarm["TreatMissingData"] for name, alarm in alarms.items()}
    assert [name for name, means in silence.items() if means == "breaching"] == ["detection-lag"]
    assert {silence[name] for name in silence if name.startswith("last-success-")} == {"missing"}


def test_a_late_detection_rings_until_it_has_caught_up(
    client: Any, told: Callable[[], dict[str, Any]], alarms: dict[str, Alarm]
) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)

    def report(lag: timedelta, *minutes_ago: int) -> None:
        for minutes in minutes_ago:
            figures = Figures(lag, timedelta(), 0, {})
            publish(client("cloudwatch"), ENVIRONMENT, figures, now - timedelta(minutes=minutes))

    silence = told()
    assert (silence["OldStateValue"], silence["NewStateValue"]) == ("INSUFFICIENT_DATA", "ALARM")
    assert "5 datapoints were missing and treated as [Breaching]" in silence["NewStateReason"]
    report(timedelta(minutes=8), 6)
    assert told()["NewStateValue"] == "OK"
    report(timedelta(minutes=16), 6, 5, 4, 3, 2)
    late = told()
    assert (late["OldStateValue"], late["NewStateValue"]) == ("OK", "ALARM")
    assert "greater than the threshold (900.0) [960.0" in late["NewStateReason"]
    assert "Look at the runs of detect_anomalies" in late["AlarmDescription"]
    assert late["Trigger"]["Dimensions"] == [{"name": "Environment", "value": ENVIRONMENT}]
    report(timedelta(minutes=8), 1)
    assert (again := told())["NewStateValue"] == "OK", again


def test_the_dashboard_shows_every_alarm_and_metric(client: Any, alarms: dict[str, Alarm]) -> None:
    text = client("cloudwatch").get_dashboard(DashboardName=f"vigil-{ENVIRONMENT}")["DashboardBody"]
    widgets = json.loads(text)["widgets"]
    assert set(widgets[0]["properties"]["alarms"]) == {alarm["AlarmArn"] for alarm in alarms.values()}
    for metric in ("DetectionLag", "OldestUnsentAlert", "DirtyWindows", "LastSuccessAge"):
        assert metric in json.dumps(widgets[1:])
    assert "vigil-image-pushes-dead" in text
    assert "${" not in text


def test_limits_and_telling_can_be_changed(client: Any, alarms: dict[str, Alarm]) -> None:
    client("cloudformation").update_stack(**request(DetectionLagLimit="1200", TellOfAlarms="false"))
    changed = alarms_of(client)
    assert changed.keys() == alarms.keys()
    assert changed["detection-lag"]["Threshold"] == 1200
    assert not any(alarm["ActionsEnabled"] for alarm in changed.values())
    text = client("cloudwatch").get_dashboard(DashboardName=f"vigil-{ENVIRONMENT}")["DashboardBody"]
    assert '"value": 1200' in text

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from pymysql.connections import Connection

from tests.vigil.detection.doubles import NOW, at
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.database import Database, connected
from vigil.detection.outbox import RelayOutcome, relay
from vigil.detection.telling.alerts import Alert, save_alerts
from vigil.errors import CloudError

Rows = Callable[..., list[tuple[Any, ...]]]
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alerts"


def alert(number: int, subject: str = "orders") -> Alert:
    return Alert(
        f"{subject}/20260304T{number:04d}Z/opened/1",
        subject,
        f"{subject} is high: {number} events",
        f"body {number} ✓",
        {"series": subject, "kind": "opened", "rarity": number},
    )


@pytest.fixture
def outbox(connection: Connection[Any]) -> Callable[..., None]:
    def put(*alerts: Alert) -> None:
        with connection.cursor() as cursor:
            save_alerts(cursor, alerts, NOW)
        connection.commit()

    return put


class Sns:
    """Takes what it is told to take, like SNS."""

    def __init__(self, refuse: Callable[[dict[str, Any]], bool] = lambda entry: False) -> None:
        self.refuse = refuse
        self.calls: list[list[dict[str, Any]]] = []

    def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: list[dict[str, Any]]) -> Any:  # noqa: N803
        assert TopicArn.startswith(TOPIC)
        self.calls.append(PublishBatchRequestEntries)
        refused = [entry for entry in PublishBatchRequestEntries if self.refuse(entry)]
        return {
            "Successful": [
                {"Id": entry["Id"], "MessageId": f"m-{entry['Id']}"}
                for entry in PublishBatchRequestEntries
                if entry not in refused
            ],
            "Failed": [{"Id": e["Id"], "Code": "InternalError", "Message": "later"} for e in refused],
        }


def test_alerts_go_out_in_their_order_by_ten_and_are_marked(
    database: Database, outbox: Callable[..., None], rows: Rows
) -> None:
    outbox(*map(alert, range(23)))
    sns = Sns()
    assert relay(database, sns, TOPIC, NOW) == RelayOutcome(published=23, failed=0)
    assert [len(call) for call in sns.calls] == [10, 10, 3]
    assert [entry["Message"] for call in sns.calls for entry in call] == [f"body {n} ✓" for n in range(23)]
    assert rows("SELECT COUNT(*) FROM alerts WHERE message_id = CONCAT('m-', alert_id) AND attempts = 1") == [
        (23,)
    ]
    assert relay(database, sns, TOPIC, NOW) == RelayOutcome(0, 0)


def test_an_alert_written_twice_is_one_message(
    connection: Connection[Any], outbox: Callable[..., None], rows: Rows
) -> None:
    outbox(alert(1), alert(1))
    with connection.cursor() as cursor:
        assert save_alerts(cursor, [alert(1), alert(2)], NOW) == 1
    assert rows("SELECT COUNT(*) FROM alerts") == [(2,)]


def test_a_message_carries_its_identity_and_on_a_fifo_topic_group_and_deduplication(
    database: Database, outbox: Callable[..., None]
) -> None:
    outbox(alert(7))
    sns = Sns()
    relay(database, sns, f"{TOPIC}.fifo", NOW)
    ((entry,),) = sns.calls
    identity = "orders/20260304T0007Z/opened/1"
    assert entry["MessageAttributes"]["identity"] == {"DataType": "String", "StringValue": identity}
    assert entry["MessageAttributes"]["rarity"]["DataType"] == "Number"
    assert entry["MessageGroupId"] == "orders"
    assert entry["MessageDeduplicationId"] == hashlib.sha256(identity.encode()).hexdigest()
    assert entry["Subject"] == "orders is high: 7 events"


def test_entries_that_fail_wait_and_the_others_go_out(
    database: Database, outbox: Callable[..., None], rows: Rows
) -> None:
    outbox(*map(alert, range(12)))
    refused = {"body 3 ✓", "body 11 ✓"}
    with pytest.raises(CloudError, match=r"2 alerts could not be published to .*:alerts \(InternalError"):
        relay(database, Sns(lambda entry: entry["Message"] in refused), TOPIC, NOW)
    waiting = rows(
        "SELECT body, attempts, last_error FROM alerts WHERE published_at IS NULL ORDER BY alert_id"
    )
    assert waiting == [(body, 1, "InternalError: later") for body in ("body 3 ✓", "body 11 ✓")]
    assert relay(database, Sns(), TOPIC, NOW) == RelayOutcome(published=2, failed=0)
    assert rows("SELECT SUM(attempts), COUNT(last_error) FROM alerts") == [(14, 0)]


def test_a_topic_that_takes_nothing_is_asked_once_and_named(
    database: Database, outbox: Callable[..., None], rows: Rows
) -> None:
    outbox(*map(alert, range(30)))
    asked: list[str] = []

    class Gone:
        def publish_batch(self, **request: Any) -> Any:
            asked.append(request["TopicArn"])
            error = {"Error": {"Code": "NotFound", "Message": "Topic does not exist"}}
            raise ClientError(error, "PublishBatch")

    with pytest.raises(CloudError, match=r"check alert_topic_arn and the role's sns:Publish"):
        relay(database, Gone(), TOPIC, NOW)
    assert asked == [TOPIC]
    assert rows("SELECT COUNT(*) FROM alerts WHERE published_at IS NULL") == [(30,)]
    assert rows("SELECT COUNT(*) FROM alerts WHERE last_error LIKE %s", "%Topic does not exist%") == [(10,)]


def test_what_another_relay_holds_is_passed_over(database: Database, outbox: Callable[..., None]) -> None:
    outbox(*map(alert, range(4)))
    with connected(database) as other, other.cursor() as cursor:
        cursor.execute("SELECT alert_id FROM alerts ORDER BY alert_id LIMIT 3 FOR UPDATE")
        assert relay(database, Sns(), TOPIC, NOW).published == 1
    assert relay(database, Sns(), TOPIC, NOW).published == 3


@dataclass(frozen=True)
class Channel:
    """A topic and a queue subscribed to it."""

    aws: Aws
    topic_arn: str
    queue_url: str

    def received(self) -> list[dict[str, Any]]:
        answer = self.aws.client("sqs").receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


@pytest.fixture(params=["", ".fifo"], ids=["standard", "fifo"])
def channel(request: pytest.FixtureRequest, aws: Aws) -> Iterator[Channel]:
    name = f"alerts-{uuid4().hex}{request.param}"
    fifo = {"FifoTopic": "true"} if request.param else {}
    sns, sqs = aws.client("sns"), aws.client("sqs")
    topic = sns.create_topic(Name=name, Attributes=fifo)["TopicArn"]
    queue = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    yield Channel(aws, topic, queue)
    sqs.delete_queue(QueueUrl=queue)
    sns.delete_topic(TopicArn=topic)


def test_a_subscribed_queue_receives_what_was_published(
    channel: Channel, database: Database, outbox: Callable[..., None]
) -> None:
    outbox(alert(1), alert(2, "group"))
    assert relay(database, channel.aws.client("sns"), channel.topic_arn, NOW) == RelayOutcome(2, 0)
    found: list[dict[str, Any]] = []

    def both() -> bool:
        found.extend(channel.received())
        return len(found) == 2

    wait_for(both, "the two alerts")
    messages = {message["Subject"]: message for message in found}
    assert messages["orders is high: 1 events"]["Message"] == "body 1 ✓"
    attributes = messages["group is high: 2 events"]["MessageAttributes"]
    assert attributes["identity"]["Value"] == "group/20260304T0002Z/opened/1"
    assert attributes["kind"]["Value"] == "opened"


def test_a_relay_killed_before_it_marked_publishes_again_with_the_same_identity(
    channel: Channel, database: Database, outbox: Callable[..., None], rows: Rows
) -> None:
    outbox(alert(1))
    relay(database, channel.aws.client("sns"), channel.topic_arn, NOW)
    # As if the mark had never been committed.
    rows("UPDATE alerts SET published_at = NULL, message_id = NULL")
    relay(database, channel.aws.client("sns"), channel.topic_arn, at("12:03"))
    found: list[dict[str, Any]] = []

    def some() -> bool:
        found.extend(channel.received())
        return bool(found)

    wait_for(some, "the alert")
    found.extend(channel.received())
    assert {message["MessageAttributes"]["identity"]["Value"] for message in found} == {
        "orders/20260304T0001Z/opened/1"
    }
    if channel.topic_arn.endswith(".fifo"):
        assert len(found) == 1

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pymysql.connections import Connection

from vigil.aws import Aws
from vigil.database import in_transaction
from vigil.notices import Notice, publish_notices, write_notice

NOW = datetime(2026, 11, 2, 4)
NOTICE = Notice("deployed/run-1", "deployed", "event-counts", "event-counts/3 serves, déjà\nMore.")


@pytest.fixture
def topic(aws: Aws) -> str:
    return str(aws.client("sns").create_topic(Name=f"operations-{uuid.uuid4().hex[:8]}")["TopicArn"])


@pytest.fixture
def queue(aws: Aws, topic: str) -> str:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=topic.rpartition(":")[2])["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    return str(url)


def write(connection: Connection[Any], notice: Notice) -> None:
    in_transaction(connection, lambda cursor: write_notice(cursor, notice, NOW))


def received(aws: Aws, queue: str) -> list[dict[str, Any]]:
    answer = aws.client("sqs").receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    return list(answer.get("Messages", []))


def test_a_notice_is_published_once_however_often_it_is_written(
    aws: Aws, connection: Connection[Any], topic: str, queue: str
) -> None:
    for _ in range(2):
        write(connection, NOTICE)
        publish_notices(connection, aws.client("sns"), topic, NOW)
    (message,) = received(aws, queue)
    assert message["Body"] == NOTICE.text
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {"identity": NOTICE.identity, "kind": "deployed", "model": "event-counts"}


def test_what_sns_refused_waits_and_goes_out_with_the_next_notice(
    aws: Aws, connection: Connection[Any], topic: str, queue: str
) -> None:
    write(connection, NOTICE)
    with pytest.raises(ClientError):
        publish_notices(connection, aws.client("sns"), f"{topic}-gone", NOW)
    assert received(aws, queue) == []
    write(connection, Notice("deployed/run-2", "deployed", "event-counts", "Another."))
    assert publish_notices(connection, aws.client("sns"), topic, NOW) == 2
    assert [m["Body"] for m in received(aws, queue)] == [NOTICE.text, "Another."]


def test_what_sns_took_before_it_failed_is_not_sent_again(
    aws: Aws, connection: Connection[Any], topic: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write(connection, Notice(f"deployed/run-{number}", "deployed", "event-counts", f"Text {number}."))
    sns = aws.client("sns")
    with monkeypatch.context() as failing:
        failing.setattr(sns, "publish", _failing_after(1, sns.publish))
        with pytest.raises(EndpointConnectionError):
            publish_notices(connection, sns, topic, NOW)
    assert publish_notices(connection, sns, topic, NOW) == 2
    assert sorted(m["Body"] for m in received(aws, queue)) == ["Text 0.", "Text 1.", "Text 2."]


def _failing_after(calls: int, publish: Callable[..., Any]) -> Callable[..., Any]:
    left = iter(range(calls))

    def failing(**message: Any) -> Any:
        if next(left, None) is None:
            raise EndpointConnectionError(endpoint_url="sns")
        return publish(**message)

    return failing


def test_what_stands_in_a_notice_keeps_no_other_notice_waiting(
    aws: Aws, connection: Connection[Any], topic: str, queue: str
) -> None:
    text = f"a\x00b\x1b[31m{'ü' * 100_000}"
    write(connection, Notice("file-set-aside/1", "file-set-aside", "", text))
    write(connection, NOTICE)
    publish_notices(connection, aws.client("sns"), topic, NOW)
    strange, other = sorted(received(aws, queue), key=lambda message: message["Body"] == NOTICE.text)
    assert strange["Body"].startswith("a b [31mü")
    assert len(strange["Body"].encode()) < 65_535
    assert strange["MessageAttributes"].keys() == {"identity", "kind"}
    assert other["Body"] == NOTICE.text

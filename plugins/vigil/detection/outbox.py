"""The relay of the outbox: publishes alerts to an SNS topic and marks them.

An alert is marked after SNS has taken it. A relay that is killed in between publishes it again, with the same
identity: a FIFO topic drops the second within five minutes, and on a standard topic the attribute `identity`
lets a subscriber do so. None is lost.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pymysql.cursors import Cursor
from structlog.contextvars import bound_contextvars

from vigil.database import Database, connected, in_transaction, statement
from vigil.errors import CloudError

_MESSAGES_PER_CALL = 10
_ERROR_LIMIT = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RelayOutcome:
    """What a relay did.

    Attributes:
        published: messages that SNS took.
        failed: messages that it did not take; they wait in the outbox.
    """

    published: int
    failed: int


@dataclass(frozen=True)
class _Message:
    """A row of the outbox."""

    alert_id: int
    identity: str
    subject: str
    title: str
    body: str
    attributes: dict[str, str | int]


@dataclass(frozen=True)
class _Step:
    """What became of a few messages: SNS's message id or an error each."""

    last_id: int
    message_ids: dict[int, str]
    errors: dict[int, str]


def relay(database: Database, client: Any, topic_arn: str, now: datetime) -> RelayOutcome:
    """Publish what waits in the outbox, in its order.

    Args:
        database: with the outbox.
        client: boto3 client of sns.
        topic_arn: standard or FIFO topic.
        now: the present time.

    Raises:
        CloudError: SNS did not take some messages; they keep their place, and the next run goes on.
    """
    published = 0
    errors: dict[int, str] = {}
    with connected(database) as connection:
        last_id: int | None = 0
        while last_id is not None:
            work = partial(_publish_some, client=client, topic_arn=topic_arn, after=last_id, now=now)
            step = in_transaction(connection, work)
            if step:
                published += len(step.message_ids)
                errors.update(step.errors)
            # When SNS takes nothing at all, the rest would fare no better.
            last_id = step.last_id if step and step.message_ids else None
    if errors:
        raise CloudError(
            f"{len(errors)} alerts could not be published to {topic_arn} ({next(iter(errors.values()))}): "
            "check alert_topic_arn and the role's sns:Publish. They wait in the outbox, and the next run "
            "tries again."
        )
    return RelayOutcome(published, len(errors))


def _publish_some(cursor: Cursor, client: Any, topic_arn: str, after: int, now: datetime) -> _Step | None:
    """Publish the next few messages and mark them, or note why not; return None when there is none left."""
    cursor.execute(statement("detection/claim_alerts"), {"after": after, "limit": _MESSAGES_PER_CALL})
    messages = [_message(row) for row in cursor.fetchall()]
    if not messages:
        return None
    step = _publish(client, topic_arn, messages)
    cursor.executemany(
        statement("detection/mark_alert_published"),
        [(now, message_id, alert_id) for alert_id, message_id in step.message_ids.items()],
    )
    cursor.executemany(
        statement("detection/mark_alert_failed"),
        [(error[:_ERROR_LIMIT], alert_id) for alert_id, error in step.errors.items()],
    )
    for message in messages:
        _tell(message, step.errors.get(message.alert_id))
    return step


def _tell(message: _Message, error: str | None) -> None:
    with bound_contextvars(series=message.subject, alert=message.identity):
        if error:
            log.error("SNS did not take an alert: %s", error)
        else:
            log.info("Published: %s", message.title)


def _message(row: tuple[Any, ...]) -> _Message:
    values = (*row[:-1], json.loads(row[-1]))
    return _Message(*values)


def _publish(client: Any, topic_arn: str, messages: Sequence[_Message]) -> _Step:
    last_id = messages[-1].alert_id
    entries = [_entry(message, topic_arn.endswith(".fifo")) for message in messages]
    try:
        answer = client.publish_batch(TopicArn=topic_arn, PublishBatchRequestEntries=entries)
    except (ClientError, BotoCoreError) as error:
        return _Step(last_id, {}, {message.alert_id: str(error) for message in messages})
    return _Step(
        last_id,
        {int(entry["Id"]): entry["MessageId"] for entry in answer.get("Successful", [])},
        {
            int(entry["Id"]): f"{entry['Code']}: {entry.get('Message', '')}"
            for entry in answer.get("Failed", [])
        },
    )


def _entry(message: _Message, fifo: bool) -> dict[str, Any]:
    attributes = {**message.attributes, "identity": message.identity}
    entry = {
        "Id": str(message.alert_id),
        "Subject": message.title,
        "Message": message.body,
        "MessageAttributes": {
            name: {
                "DataType": "Number" if isinstance(value, int) else "String",
                "StringValue": str(value),
            }
            for name, value in attributes.items()
        },
    }
    if fifo:
        entry["MessageGroupId"] = message.subject
        entry["MessageDeduplicationId"] = hashlib.sha256(message.identity.encode()).hexdigest()
    return entry

"""What operators are told of models and stacks: written down first, then published to SNS.

A notice is marked after SNS has taken it, each in a transaction of its own. Whoever is killed in between
sends that one again with the same identity; none is lost, for every later notice takes along what waits.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import in_transaction, statement

Kind = Literal[
    "retraining-triggered",
    "training-succeeded",
    "training-failed",
    "file-set-aside",
    "candidate-rejected",
    "approval-wanted",
    "deployed",
    "deployment-failed",
    "rolled-back",
    "roll-back-failed",
    "training-stack-ended",
    "training-stack-failed",
    "training-stack-swept",
    "model-left-its-limits",
    "model-back-in-its-limits",
    "series-left-their-limits",
]

_SUBJECT_LIMIT = 100
# Names of files and columns stand in it, and the table holds 65,535 bytes.
_TEXT_LIMIT = 16_000


@dataclass(frozen=True)
class Notice:
    """One message to operators.

    Attributes:
        identity: what it is about, the same for each retry.
        kind: to filter by.
        model: name of the model spec, or of the training stack; empty if it is about none.
        text: for people; its first line is the subject of a mail.
    """

    identity: str
    kind: Kind
    model: str
    text: str


def write_notice(cursor: Cursor, notice: Notice, now: datetime) -> None:
    """Write a notice down, in the transaction of what it tells of; once, however often this is called."""
    text = notice.text if len(notice.text) <= _TEXT_LIMIT else f"{notice.text[:_TEXT_LIMIT]}…"
    # SNS refuses control characters, and every later notice would wait behind this one.
    text = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    cursor.execute(statement("notices/insert_notice"), {**asdict(notice), "text": text, "now": now})


def publish_notices(connection: Connection[Any], sns: Any, topic_arn: str, now: datetime) -> int:
    """Publish every notice that waits, the oldest first; return how many SNS took.

    What SNS refuses stays with those after it for the next call; those before it are marked.

    Args:
        connection: an open connection with nothing uncommitted on it.
        sns: client.
        topic_arn: standard or FIFO topic.
        now: the present time.
    """
    published = 0
    while in_transaction(connection, lambda cursor: _publish_oldest(cursor, sns, topic_arn, now)):
        published += 1
    return published


def _publish_oldest(cursor: Cursor, sns: Any, topic_arn: str, now: datetime) -> bool:
    """Publish the oldest notice that waits and mark it; tell whether there was one."""
    cursor.execute(statement("notices/claim_notice"))
    row = cursor.fetchone()
    if row is None:
        return False
    notice = Notice(*row)
    sns.publish(TopicArn=topic_arn, **_message(notice, topic_arn.endswith(".fifo")))
    cursor.execute(statement("notices/mark_notice_published"), (now, notice.identity))
    return True


def _message(notice: Notice, fifo: bool) -> dict[str, Any]:
    attributes = {"identity": notice.identity, "kind": notice.kind, "model": notice.model}
    message: dict[str, Any] = {
        "Subject": _subject(notice.text),
        "Message": notice.text,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in attributes.items()
            if value  # SNS takes no empty ones
        },
    }
    if fifo:
        message["MessageGroupId"] = notice.model or notice.kind
        message["MessageDeduplicationId"] = hashlib.sha256(notice.identity.encode()).hexdigest()
    return message


def _subject(text: str) -> str:
    """Return the first line as SNS takes it for a mail: printable ASCII, not too long."""
    line = text.splitlines()[0].encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in line)[:_SUBJECT_LIMIT]

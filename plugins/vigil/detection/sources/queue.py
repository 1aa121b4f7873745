"""Reads events from an SQS queue.

A message is a JSON object `{"series", "occurred_at", "event_id"}`, the time in ISO 8601 with its zone, or an
array of such objects. It is deleted once its events are stored. One that is malformed, or names a series of
another source, is left alone, so that the queue's redrive policy moves it to the dead-letter queue.

A take ends well before its messages become visible again, and with what was sent before the run began: a
queue with steady traffic is never empty.

What its watermark promises: when everything sent until a moment has been taken, events are complete up to
that moment minus `delay_s`. While more is waiting, the oldest message of the batch stands in for that
moment; SQS delivers nearly in order, and what comes after it all the same is late, and counted as late
events are. While messages are in flight that nobody deleted, be it that a collector was killed or that they
are left alone, the watermark trails, so that an empty queue is not taken for a silent one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from vigil.detection.events import Events, Row, event_id_of, instant_of, is_series_name
from vigil.detection.pipeline import QueueOptions
from vigil.detection.sources import Batch, Position
from vigil.errors import CloudError
from vigil.windows import to_utc

MESSAGES_PER_BATCH = 2_000
# SQS takes messages of a megabyte; so much of their text is held at once, and the events in it.
BYTES_PER_BATCH = 8 * 1024 * 1024
_MESSAGES_PER_CALL = 10
_WAIT_S = 1
TAKE_S = 20
"""After so many seconds a take ends; what is left of `_HIDDEN_S` is for storing and deleting."""
_HIDDEN_S = 60
# A message in flight was received since it was hidden, and had waited no longer than that before.
_TRAIL = timedelta(seconds=2 * _HIDDEN_S)


@dataclass(frozen=True)
class _Message:
    """What is deleted once its events are stored, and the series that these name."""

    receipt: str
    series: frozenset[str]


@dataclass(frozen=True)
class Queue:
    """Gives the messages that wait in the queue."""

    options: QueueOptions
    client: Any

    @property
    def name(self) -> str:
        """Name in the pipeline settings."""
        return self.options.name

    def take(self, position: Position | None, now: datetime) -> Batch:
        """Return what waits; the queue itself remembers the position.

        Raises:
            CloudError: the queue cannot be read.
        """
        # Before anything is received: then those in flight are others'.
        in_flight = self._in_flight()
        messages, drained = self._receive(now)
        rows: list[Row] = []
        taken: list[_Message] = []
        reached = now - _TRAIL if in_flight else now
        for message in messages:
            events = events_of(message["Body"])
            if events is not None:
                rows.extend(events)
                taken.append(_Message(message["ReceiptHandle"], frozenset(series for series, _, _ in events)))
                reached = reached if drained else min(reached, _sent_at(message))
        return Batch(
            events=Events.of(rows),
            position={},
            # Where nothing but malformed messages came, and more is waiting, nothing is known.
            watermark=reached - timedelta(seconds=self.options.delay_s) if drained or taken else None,
            more=not drained,
            malformed=len(messages) - len(taken),
            acknowledge=partial(self._delete, taken),
        )

    def _in_flight(self) -> bool:
        """Tell whether messages were received and are not deleted."""
        name = "ApproximateNumberOfMessagesNotVisible"
        try:
            answer = self.client.get_queue_attributes(QueueUrl=self.options.queue_url, AttributeNames=[name])
        except (ClientError, BotoCoreError) as error:
            raise self._unreachable(error) from error
        return int(answer["Attributes"][name]) > 0

    def _receive(self, now: datetime) -> tuple[list[dict[str, Any]], bool]:
        """Return messages, and whether all that were sent before `now` have been taken."""
        messages: list[dict[str, Any]] = []
        size = 0
        ends = monotonic() + TAKE_S
        while len(messages) < MESSAGES_PER_BATCH and size < BYTES_PER_BATCH and monotonic() < ends:
            try:
                answer = self.client.receive_message(
                    QueueUrl=self.options.queue_url,
                    MaxNumberOfMessages=_MESSAGES_PER_CALL,
                    # A short poll asks only some of SQS's servers and may call a full queue empty.
                    WaitTimeSeconds=_WAIT_S,
                    VisibilityTimeout=_HIDDEN_S,
                    MessageSystemAttributeNames=["SentTimestamp"],
                )
            except (ClientError, BotoCoreError) as error:
                raise self._unreachable(error) from error
            received = answer.get("Messages", [])
            messages.extend(received)
            # True for an empty answer, too. Not any, but all: SQS delivers nearly in order.
            if all(_sent_at(message) >= now for message in received):
                return messages, True
            size += sum(len(message["Body"]) for message in received)
        return messages, False

    def _delete(self, taken: Sequence[_Message], foreign: Collection[str]) -> None:
        receipts = [message.receipt for message in taken if message.series.isdisjoint(foreign)]
        for start in range(0, len(receipts), _MESSAGES_PER_CALL):
            entries = [
                {"Id": str(place), "ReceiptHandle": receipt}
                for place, receipt in enumerate(receipts[start : start + _MESSAGES_PER_CALL])
            ]
            try:
                # An entry that fails is delivered again, and its events are then known.
                self.client.delete_message_batch(QueueUrl=self.options.queue_url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> CloudError:
        return CloudError(
            f"The queue {self.options.queue_url} of the source {self.name} cannot be read ({error}): check "
            "queue_url in the pipeline settings and the role's sqs:ReceiveMessage, sqs:DeleteMessage and "
            "sqs:GetQueueAttributes."
        )


def _sent_at(message: dict[str, Any]) -> datetime:
    return instant_of(int(message["Attributes"]["SentTimestamp"]) * 1000)


def events_of(body: str) -> list[Row] | None:
    """Return the events of a message, or None if any of it is malformed."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    items = content if isinstance(content, list) else [content]
    events = [_event(item) for item in items]
    return [event for event in events if event] if all(events) else None


def _event(item: object) -> Row | None:
    if not isinstance(item, dict):
        return None
    series, occurred_at, given_id = (item.get(key) for key in ("series", "occurred_at", "event_id"))
    if not (is_series_name(series) and isinstance(occurred_at, str) and isinstance(given_id, str)):
        return None
    event_id = event_id_of(given_id)
    if event_id is None:
        return None
    try:
        return str(series), to_utc(datetime.fromisoformat(occurred_at)), event_id
    except (ValueError, OverflowError):
        return None

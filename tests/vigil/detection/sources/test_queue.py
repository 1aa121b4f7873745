from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.vigil.detection.doubles import ListSource, batch_of
from vigil.aws import Aws
from vigil.database import Database
from vigil.detection.collecting import collect
from vigil.detection.pipeline import QueueOptions
from vigil.detection.sources import queue as queues
from vigil.detection.sources.queue import Queue, events_of
from vigil.errors import CloudError
from vigil.settings import Settings
from vigil.windows import now as present

Rows = Callable[..., list[tuple[Any, ...]]]
GOOD = {"series": "orders", "occurred_at": "2026-03-04T13:00:00+01:00", "event_id": "a"}


@pytest.fixture
def queue_url(aws: Aws) -> Iterator[str]:
    client = aws.client("sqs")
    url = client.create_queue(QueueName=f"events-{uuid4().hex}")["QueueUrl"]
    yield url
    client.delete_queue(QueueUrl=url)


def source(aws: Aws, url: str, **options: Any) -> Queue:
    return Queue(
        QueueOptions.model_validate({"kind": "sqs", "name": "queue", "queue_url": url, **options}),
        aws.client("sqs"),
    )


def send(aws: Aws, url: str, *bodies: object) -> None:
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        aws.client("sqs").send_message(QueueUrl=url, MessageBody=text)


def waiting(aws: Aws, url: str) -> int:
    """Return how many messages are in the queue, in flight ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_messages_are_stored_counted_and_then_deleted(
    aws: Aws, queue_url: str, database: Database, settings: Settings, rows: Rows
) -> None:
    now = present()
    occurred_at = f"{now.isoformat()}Z"
    events = [{"series": "orders", "occurred_at": occurred_at, "event_id": str(n)} for n in range(12)]
    send(aws, queue_url, *events[:11], [events[11], {**events[0], "event_id": "x"}])
    outcome = collect(database, [source(aws, queue_url)], settings, present())
    assert (outcome.ingested, outcome.malformed) == (13, 0)
    assert rows("SELECT SUM(observed) FROM window_counts") == [(13,)]
    assert waiting(aws, queue_url) == 0


def test_an_empty_queue_moves_the_watermark_to_now_minus_the_delay(aws: Aws, queue_url: str) -> None:
    now = datetime(2026, 3, 4, 12)
    batch = source(aws, queue_url, delay_s=20).take(None, now)
    assert (batch.watermark, batch.more) == (now - timedelta(seconds=20), False)


def test_while_more_is_waiting_the_oldest_message_of_the_batch_holds_the_watermark(
    aws: Aws, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MESSAGES_PER_BATCH", 1)
    before = present()
    send(aws, queue_url, GOOD, GOOD)
    batch = source(aws, queue_url).take(None, before + timedelta(hours=1))
    assert batch.more
    assert batch.watermark is not None
    assert abs(batch.watermark - before) < timedelta(seconds=20)


def test_a_malformed_message_is_counted_and_left_for_the_dead_letter_queue(
    aws: Aws, queue_url: str, database: Database, settings: Settings
) -> None:
    now = present()
    send(aws, queue_url, {**GOOD, "occurred_at": f"{now.isoformat()}Z"}, "no json")
    outcome = collect(database, [source(aws, queue_url)], settings, present())
    assert (outcome.ingested, outcome.malformed) == (1, 1)
    assert waiting(aws, queue_url) == 1


def test_a_message_that_names_another_sources_series_is_counted_and_left_for_the_dead_letter_queue(
    aws: Aws, queue_url: str, database: Database, settings: Settings, rows: Rows
) -> None:
    now = present()
    shop = ListSource([batch_of([("orders", now, "theirs")])])
    collect(database, [shop], settings, now)
    before = rows("SELECT * FROM series")
    claimed = {**GOOD, "occurred_at": f"{now.isoformat()}Z"}
    own = [{**claimed, "series": "clicks", "event_id": name} for name in "bcd"]
    send(aws, queue_url, own[0], claimed, [claimed, own[1]], own[2])
    outcome = collect(database, [shop, source(aws, queue_url)], settings, present())
    assert (outcome.ingested, outcome.foreign, outcome.malformed) == (3, 2, 0)
    assert rows("SELECT series, observed FROM window_counts ORDER BY series") == [
        ("clicks", 3),
        ("orders", 1),
    ]
    assert rows("SELECT * FROM series WHERE series = 'orders'") == before
    assert waiting(aws, queue_url) == 2, "the one, and the one that it shares with an event of its own"


@pytest.mark.parametrize("occurred_at", ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z"])
def test_no_time_that_a_message_can_tell_stops_the_collector(
    aws: Aws, queue_url: str, database: Database, settings: Settings, occurred_at: str
) -> None:
    now = present()
    good = {**GOOD, "occurred_at": f"{now.isoformat()}Z"}
    send(aws, queue_url, good, {**GOOD, "series": "strange", "occurred_at": occurred_at})
    for _ in range(2):
        outcome = collect(database, [source(aws, queue_url)], settings, present())
        assert outcome.malformed == 0
    assert waiting(aws, queue_url) == 0


def test_large_messages_are_taken_a_few_at_a_time(
    aws: Aws, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "BYTES_PER_BATCH", 500_000)
    for _ in range(12):
        send(aws, queue_url, json.dumps(GOOD) + " " * 60_000)
    batch = source(aws, queue_url).take(None, present())
    assert len(batch.events) == 10
    assert batch.more


class BusyClient:
    """A client of SQS; while it receives, somebody sends."""

    def __init__(self, aws: Aws) -> None:
        self._client = aws.client("sqs")

    def receive_message(self, **options: Any) -> Any:
        self._client.send_message(QueueUrl=options["QueueUrl"], MessageBody=json.dumps(GOOD))
        return self._client.receive_message(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_queue_that_never_runs_dry_is_taken_up_to_the_beginning_of_the_run(
    aws: Aws, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MESSAGES_PER_BATCH", 50)
    send(aws, queue_url, *[GOOD] * 12)
    now = present()
    busy = Queue(source(aws, queue_url).options, BusyClient(aws))
    batch = busy.take(None, now)
    assert 12 <= len(batch.events) < 20
    assert (batch.watermark, batch.more) == (now, False)


def test_a_take_ends_before_its_messages_become_visible_again(
    aws: Aws, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(step=queues.TAKE_S - 1)
    monkeypatch.setattr(queues, "monotonic", lambda: next(seconds))
    send(aws, queue_url, *[GOOD] * 12)
    batch = source(aws, queue_url).take(None, present())
    assert len(batch.events) == 10
    assert batch.more


def test_messages_that_a_killed_collector_holds_keep_the_watermark_back(aws: Aws, queue_url: str) -> None:
    send(aws, queue_url, GOOD)
    source(aws, queue_url).take(None, present())
    now = present()
    batch = source(aws, queue_url).take(None, now)
    assert (len(batch.events), batch.more) == (0, False)
    assert batch.watermark == now - timedelta(minutes=2)


def test_malformed_messages_alone_tell_nothing_of_the_watermark(
    aws: Aws, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MESSAGES_PER_BATCH", 1)
    send(aws, queue_url, "no json")
    batch = source(aws, queue_url).take(None, present())
    assert (batch.more, batch.malformed, batch.watermark) == (True, 1, None)


def test_a_queue_that_is_missing_is_named_with_the_way_out(aws: Aws, queue_url: str) -> None:
    gone = f"{queue_url}-gone"
    with pytest.raises(CloudError, match=r"-gone of the source queue cannot be read .*check queue_url"):
        source(aws, gone).take(None, present())


def test_a_time_with_a_zone_becomes_utc() -> None:
    assert events_of(json.dumps(GOOD)) == [("orders", datetime(2026, 3, 4, 12), "a")]


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "7",
        "null",
        '"text"',
        "{}",
        json.dumps({**GOOD, "series": "a/b"}),
        json.dumps({**GOOD, "series": 3}),
        json.dumps({**GOOD, "event_id": ""}),
        json.dumps({**GOOD, "event_id": "x" * 65}),
        json.dumps({**GOOD, "event_id": None}),
        json.dumps({**GOOD, "occurred_at": "2026-03-04T13:00:00"}),
        json.dumps({**GOOD, "occurred_at": "noon"}),
        json.dumps({**GOOD, "occurred_at": 1772625600}),
        json.dumps([GOOD, {}]),
        "[" * 100_000,
        "9" * 5_000,
        json.dumps({**GOOD, "event_id": "half a character: \ud800"}),
        json.dumps({**GOOD, "event_id": "a\0b"}),
        json.dumps({**GOOD, "occurred_at": "0001-01-01T00:00:00+10:00"}),
    ],
)
def test_a_message_that_is_no_event_is_malformed(body: str) -> None:
    assert events_of(body) is None

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.detection.doubles import NOW, at, batch_of
from vigil.detection.counting.ingesting import IngestOutcome, ingest, stored_position
from vigil.detection.sources import NEVER, Batch, SeriesState
from vigil.errors import DataError
from vigil.settings import Settings
from vigil.windows import WINDOW, window_of

Rows = Callable[..., list[tuple[Any, ...]]]
Ingest = Callable[..., IngestOutcome]


@pytest.fixture
def take(connection: Connection[Any], settings: Settings) -> Ingest:
    """Ingest batches one after the other, each from where the last one left the source."""

    def run(
        batch: Batch,
        now: datetime = NOW,
        source: str = "shop",
        configured: Collection[str] = ("shop", "other"),
    ) -> IngestOutcome:
        with connection.cursor() as cursor:
            position = stored_position(cursor, source)
        connection.commit()
        return ingest(connection, source, batch, position, configured, settings, now)

    return run


def test_events_their_marks_and_the_position_are_stored_together(take: Ingest, rows: Rows) -> None:
    batch = batch_of(
        [("orders", at("11:59:59.999999"), "a"), ("orders", at("12:00"), "b"), ("orders", at("12:00"), "c")],
        position={"page": 3},
    )
    assert take(batch) == IngestOutcome(ingested=3)
    assert rows("SELECT window_start, occurred_at, event_id FROM events ORDER BY event_id") == [
        (at("11:55"), at("11:59:59.999999"), "a"),
        (at("12:00"), at("12:00"), "b"),
        (at("12:00"), at("12:00"), "c"),
    ]
    assert rows("SELECT * FROM dirty_windows ORDER BY window_start") == [
        ("orders", at("11:55")),
        ("orders", at("12:00")),
    ]
    assert rows("SELECT position FROM sources") == [('{"page":3}',)]


def test_a_redelivered_event_is_one_event(take: Ingest, rows: Rows) -> None:
    event = ("orders", at("12:00:01"), "a")
    assert take(batch_of([event, event])) == IngestOutcome(ingested=1, duplicates=1)
    assert take(batch_of([event])) == IngestOutcome(duplicates=1)
    # The three together are the identity.
    other = [("orders", at("12:00:02"), "a"), ("clicks", at("12:00:01"), "a")]
    assert take(batch_of(other)) == IngestOutcome(ingested=2)
    assert rows("SELECT COUNT(*) FROM events") == [(3,)]


@pytest.mark.parametrize("event_id", ["Ünïcode ✓", "quote'\"\\", "%s %(x)s", "[1,2]", "x" * 64, "A"])
def test_an_event_id_may_hold_anything(take: Ingest, rows: Rows, event_id: str) -> None:
    take(batch_of([("orders", at("12:00"), event_id), ("orders", at("12:00"), "a")]))
    assert rows("SELECT COUNT(*) FROM events WHERE event_id = %s", event_id) == [(1,)]
    assert rows("SELECT COUNT(*) FROM events") == [(2,)]


def test_a_new_series_begins_with_its_first_event_and_is_judged_from_the_present_window(
    take: Ingest, rows: Rows
) -> None:
    take(batch_of([("orders", at("09:12"), "a"), ("orders", at("10:01"), "b")]))
    assert rows("SELECT source, first_window, live_from, counted_until, judged_until FROM series") == [
        ("shop", at("09:10"), at("12:00"), at("09:10"), at("12:00"))
    ]


def test_a_source_may_know_a_series_that_has_no_event_yet(take: Ingest, rows: Rows) -> None:
    state = SeriesState(
        first_window=at("09:00"), watermark=at("11:00"), retired_at=at("11:00"), live_from=NEVER
    )
    take(batch_of(series={"orders": state}))
    assert rows("SELECT first_window, watermark, retired_at, live_from FROM series") == [
        (at("09:00"), at("11:00"), at("11:00"), NEVER)
    ]


def test_a_watermark_never_goes_back(take: Ingest, rows: Rows) -> None:
    take(batch_of([("orders", at("11:00"), "a")], watermark=at("11:30")))
    take(batch_of([("orders", at("11:10"), "b")], watermark=at("11:20")))
    take(batch_of(series={"orders": SeriesState(watermark=at("11:10"))}))
    assert rows("SELECT watermark FROM series") == [(at("11:30"),)]


def test_a_watermark_of_the_source_holds_for_its_quiet_series_too_but_not_for_retired_ones(
    take: Ingest, rows: Rows
) -> None:
    ended = SeriesState(watermark=at("10:00"), retired_at=at("10:00"))
    take(batch_of([("a", at("09:00"), "1"), ("b", at("09:00"), "1")], series={"b": ended}))
    take(batch_of([("c", at("09:00"), "1")]), source="other")
    take(batch_of(watermark=at("12:00")))
    assert rows("SELECT series, watermark FROM series ORDER BY series") == [
        ("a", at("12:00")),
        ("b", at("10:00")),
        ("c", at("09:00")),
    ]


def test_an_earlier_event_moves_the_beginning_back_and_the_gap_is_counted_again(
    take: Ingest, rows: Rows
) -> None:
    take(batch_of([("orders", at("11:00"), "a")]))
    take(batch_of([("orders", at("10:00"), "b")]))
    assert rows("SELECT first_window, counted_until FROM series") == [(at("10:00"), at("10:00"))]


def test_too_late_is_measured_by_the_watermark_before_the_batch(
    take: Ingest, rows: Rows, settings: Settings
) -> None:
    limit = at("12:00") - settings.too_late_after
    take(batch_of([("orders", at("11:00"), "a"), ("clicks", limit, "z")], watermark=at("12:00")))
    late = [("orders", limit, "b"), ("orders", limit - timedelta.resolution, "c")]
    new = ("fresh", limit - timedelta(days=1), "d")
    assert take(batch_of([*late, new], watermark=at("12:01"))) == IngestOutcome(ingested=2, too_late=1)
    assert rows("SELECT series, too_late_events FROM series ORDER BY series") == [
        ("clicks", 0),
        ("fresh", 0),
        ("orders", 1),
    ]
    assert rows("SELECT event_id FROM events WHERE series = 'orders' ORDER BY event_id") == [("a",), ("b",)]


def test_the_window_of_an_event_that_is_too_late_is_not_counted_again(take: Ingest, rows: Rows) -> None:
    take(batch_of([("orders", at("11:00"), "a")], watermark=at("12:00")))
    rows("DELETE FROM dirty_windows")
    take(batch_of([("orders", at("11:00") - timedelta(days=4), "b")]))
    assert rows("SELECT * FROM dirty_windows WHERE window_start < %s", at("00:00")) == []


def test_an_event_older_than_retention_is_refused_even_from_a_new_series(
    take: Ingest, rows: Rows, settings: Settings
) -> None:
    # An event of the window that retention cuts in two would be a part of its count.
    oldest = window_of(NOW - settings.event_retention) + WINDOW
    state = SeriesState(first_window=window_of(oldest) - 100 * WINDOW)
    batch = batch_of(
        [("orders", oldest, "a"), ("orders", oldest - timedelta.resolution, "b")], series={"orders": state}
    )
    assert take(batch) == IngestOutcome(ingested=1, too_late=1)
    # Windows whose events were refused are unknown, not empty.
    assert rows("SELECT first_window, too_late_events FROM series") == [(oldest, 1)]


def test_of_two_collectors_with_the_same_batch_one_is_overtaken(
    connection: Connection[Any], settings: Settings, rows: Rows
) -> None:
    batch = batch_of([("orders", at("12:00"), "a")], position={"page": 1})
    assert ingest(connection, "shop", batch, None, ["shop"], settings, NOW) == IngestOutcome(ingested=1)
    assert ingest(connection, "shop", batch, None, ["shop"], settings, NOW) == IngestOutcome(overtaken=True)
    assert ingest(connection, "shop", batch, {"page": 1}, ["shop"], settings, NOW) == IngestOutcome(
        duplicates=1
    )


def test_events_that_name_a_series_of_another_source_are_refused_alone(take: Ingest, rows: Rows) -> None:
    take(batch_of([("orders", at("12:00"), "a")], watermark=at("12:00")))
    rows("DELETE FROM dirty_windows")
    before = rows("SELECT * FROM series")
    theirs = [("orders", at("10:00"), "b"), ("orders", at("12:00"), "c")]
    batch = batch_of([*theirs, ("clicks", at("12:00"), "b")], watermark=at("12:02"))
    orders = frozenset({"orders"})
    assert take(batch, source="other") == IngestOutcome(ingested=1, foreign=2, foreign_series=orders)
    assert take(batch, source="other") == IngestOutcome(duplicates=1, foreign=2, foreign_series=orders)
    assert rows("SELECT series, event_id FROM events ORDER BY series") == [("clicks", "b"), ("orders", "a")]
    assert rows("SELECT * FROM dirty_windows") == [("clicks", at("12:00"))]
    assert rows("SELECT * FROM series WHERE series = 'orders'") == before
    assert rows("SELECT source, watermark FROM series WHERE series = 'clicks'") == [("other", at("12:02"))]


def test_a_series_that_two_sources_name_themselves_is_refused_and_nothing_is_stored(
    take: Ingest, rows: Rows
) -> None:
    take(batch_of([("orders", at("12:00"), "a")]))
    with pytest.raises(DataError, match="orders comes from the source shop, and now from other too: remove"):
        take(batch_of([("clicks", at("12:00"), "b")], series={"orders": SeriesState()}), source="other")
    assert rows("SELECT COUNT(*) FROM events") == [(1,)]
    assert rows("SELECT series FROM series") == [("orders",)]


def test_a_source_takes_over_the_series_of_one_that_is_configured_no_more(take: Ingest, rows: Rows) -> None:
    take(batch_of([("orders", at("11:00"), "a"), ("quiet", at("11:00"), "a")], watermark=at("11:30")))
    rows("UPDATE series SET counted_until = %s", at("11:30"))
    batch = batch_of([("orders", at("11:42"), "b")], watermark=at("12:00"))
    assert take(batch, source="renamed", configured=["renamed", "other"]) == IngestOutcome(ingested=1)
    owners = "SELECT series, source, watermark, counted_until FROM series ORDER BY series"
    # Nobody tells of the time between the two sources: it stays unknown.
    assert rows(owners) == [
        ("orders", "renamed", at("12:00"), at("11:40")),
        ("quiet", "shop", at("11:30"), at("11:30")),
    ]
    assert take(batch, source="renamed", configured=["renamed", "other"]) == IngestOutcome(duplicates=1)
    assert rows(owners)[0] == ("orders", "renamed", at("12:00"), at("11:40"))
    # A series that the source itself names is taken over as well, and changes hands again.
    named = batch_of(series={"orders": SeriesState(first_window=at("11:00"))})
    assert take(named, source="shop", configured=["shop", "other"]) == IngestOutcome()
    assert rows(owners)[0] == ("orders", "shop", at("12:00"), at("11:40"))


def test_a_series_that_was_history_is_judged_from_the_present_window_once_a_live_source_has_it(
    take: Ingest, rows: Rows
) -> None:
    history = SeriesState(at("08:00"), watermark=at("09:00"), retired_at=at("09:00"), live_from=NEVER)
    take(batch_of([("orders", at("08:01"), "a")], series={"orders": history}))
    events = [("orders", at("12:01"), "b")]
    take(batch_of(events, watermark=at("12:02")), source="queue", configured=["queue"])
    state = "SELECT retired_at, watermark, counted_until, judged_until, live_from FROM series"
    alive = [(None, at("12:02"), at("12:00"), at("12:00"), at("12:00"))]
    assert rows(state) == alive
    # One that is judged goes on where it was.
    later = batch_of([("orders", at("12:31"), "c")])
    take(later, source="shop", now=at("12:33"), configured=["shop"])
    assert rows(state.replace("counted_until", "first_window")) == [
        (None, at("12:02"), at("08:00"), at("12:00"), at("12:00"))
    ]


def test_the_database_refuses_an_event_in_a_window_that_is_not_its_own(
    connection: Connection[Any], database: object
) -> None:
    with connection.cursor() as cursor, pytest.raises(Exception, match="events_window"):
        cursor.execute(
            "INSERT INTO events VALUES ('orders', %s, %s, 'a')", (at("12:05"), at("12:04:59.999999"))
        )

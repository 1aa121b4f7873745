from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymysql.connections import Connection

from tests.conftest import empty
from tests.vigil.detection.doubles import NOW, at, batch_of
from vigil.database import Database, connected, statement
from vigil.detection.counting import windows
from vigil.detection.counting.ingesting import ingest, stored_position
from vigil.detection.counting.retention import dropped_before
from vigil.detection.counting.windows import (
    CountOutcome,
    count_windows,
    fill_empty_windows,
    recount_dirty_windows,
)
from vigil.detection.rows import as_json
from vigil.detection.sources import NEVER, Batch, SeriesState
from vigil.settings import Settings
from vigil.windows import WINDOW, window_of

Rows = Callable[..., list[tuple[Any, ...]]]
COUNTS = "SELECT window_start, observed, revision FROM window_counts ORDER BY window_start"


def take(connection: Connection[Any], batch: Batch, settings: Settings, source: str = "shop") -> None:
    with connection.cursor() as cursor:
        position = stored_position(cursor, source)
    connection.commit()
    ingest(connection, source, batch, position, [source], settings, NOW)


@pytest.fixture
def have(connection: Connection[Any], settings: Settings) -> Callable[..., None]:
    """Ingest events of `orders` at times of the day, with a watermark if one is given."""

    def run(*times: str, watermark: str | None = None) -> None:
        events = [("orders", at(time), time) for time in times]
        take(connection, batch_of(events, watermark=at(watermark) if watermark else None), settings)

    return run


def test_an_event_on_the_edge_belongs_to_the_window_it_begins(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    have("11:00", "11:04:59.999999", "11:05")
    count_windows(database, settings, NOW)
    assert rows(COUNTS) == [(at("11:00"), 2, 1), (at("11:05"), 1, 1)]


def test_a_window_without_events_is_zero_up_to_the_watermark_and_unknown_after_it(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    have("11:01", "11:12", watermark="11:29:59")
    assert count_windows(database, settings, NOW) == CountOutcome(recounted=2, changed=2, filled=3)
    assert [(start, observed) for start, observed, _ in rows(COUNTS)] == [
        (at("11:00"), 1),
        (at("11:05"), 0),
        (at("11:10"), 1),
        (at("11:15"), 0),
        (at("11:20"), 0),
    ]
    assert rows("SELECT counted_until FROM series") == [(at("11:25"),)]


def test_a_watermark_on_the_edge_completes_the_window_before_it(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    have("11:00", watermark="11:10")
    count_windows(database, settings, NOW)
    assert rows("SELECT MAX(window_start) FROM window_counts") == [(at("11:05"),)]
    assert rows("SELECT counted_until FROM series") == [(at("11:10"),)]


def test_no_zero_follows_the_end_of_a_series(
    connection: Connection[Any], database: Database, settings: Settings, rows: Rows
) -> None:
    state = SeriesState(at("11:00"), watermark=at("11:30"), retired_at=at("11:15"), live_from=NEVER)
    take(connection, batch_of([("orders", at("11:01"), "a")], series={"orders": state}), settings)
    count_windows(database, settings, NOW)
    assert [observed for _, observed, _ in rows(COUNTS)] == [1, 0, 0]
    assert rows("SELECT counted_until FROM series") == [(at("11:15"),)]


def test_a_late_event_makes_a_new_revision_and_a_duplicate_does_not(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    have("11:01", watermark="11:20")
    count_windows(database, settings, NOW)
    have("11:01")
    assert count_windows(database, settings, NOW) == CountOutcome(recounted=1, changed=0, filled=0)
    assert rows(COUNTS)[0] == (at("11:00"), 1, 1)
    have("11:02", "11:12")
    assert count_windows(database, settings, NOW) == CountOutcome(recounted=2, changed=2, filled=0)
    assert rows(COUNTS)[0] == (at("11:00"), 2, 2)
    assert rows(COUNTS)[2] == (at("11:10"), 1, 2)


def test_only_live_windows_whose_count_changed_are_marked_for_judging(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    have("11:58", "12:00:10", watermark="12:02")
    count_windows(database, settings, NOW)
    marked = "SELECT window_start FROM unjudged_windows ORDER BY window_start"
    assert rows(marked) == [(at("12:00"),)]
    rows("DELETE FROM unjudged_windows")
    have("12:00:10", watermark="12:17")
    count_windows(database, settings, NOW)
    assert rows(marked) == [(at("12:05"),), (at("12:10"),)]


def test_a_window_that_waits_for_its_recount_is_not_filled_with_a_zero(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    have("11:00", watermark="11:01")
    count_windows(database, settings, NOW)
    have("11:11", watermark="11:30")
    assert fill_empty_windows(database, settings, NOW) == 1
    assert rows("SELECT counted_until FROM series") == [(at("11:10"),)]
    count_windows(database, settings, NOW)
    assert [observed for _, observed, _ in rows(COUNTS)] == [1, 0, 1, 0, 0, 0]
    assert {revision for _, _, revision in rows(COUNTS)} == {1}


def test_windows_whose_events_retention_refuses_stay_unknown_and_are_passed_over(
    have: Callable[..., None],
    connection: Connection[Any],
    database: Database,
    settings: Settings,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "_WINDOWS_PER_FILL", 2)
    have("11:00", watermark="11:10")
    count_windows(database, settings, NOW)
    # The source is silent for longer than retention, and then tells all that was.
    later = NOW + settings.event_retention + timedelta(minutes=30)
    oldest = window_of(later - settings.event_retention) + WINDOW
    told = [oldest - 2 * WINDOW, oldest - timedelta.resolution, oldest + 2 * WINDOW]
    batch = batch_of([("orders", time, str(time)) for time in told], watermark=oldest + 5 * WINDOW)
    ingest(connection, "shop", batch, {}, ["shop"], settings, later)
    assert count_windows(database, settings, later) == CountOutcome(recounted=1, changed=1, filled=4)
    assert [(start, observed) for start, observed, _ in rows(COUNTS)] == [
        (at("11:00"), 1),
        (at("11:05"), 0),
        *((oldest + place * WINDOW, int(place == 2)) for place in range(5)),
    ]
    assert rows("SELECT counted_until, too_late_events FROM series") == [(oldest + 5 * WINDOW, 2)]


def test_filling_goes_on_over_steps_that_are_bounded(
    have: Callable[..., None],
    database: Database,
    settings: Settings,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "_WINDOWS_PER_FILL", 4)
    monkeypatch.setattr(windows, "_SERIES_PER_FILL", 1)
    monkeypatch.setattr(windows, "_WINDOWS_PER_CLAIM", 2)
    have("09:00", "09:05", "09:10", watermark="11:00")
    assert count_windows(database, settings, NOW) == CountOutcome(recounted=3, changed=3, filled=21)
    assert len(rows(COUNTS)) == 24


def test_a_dropped_window_keeps_its_count(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    dropped = window_of(dropped_before(NOW, settings.event_retention)) - WINDOW
    have("11:00")
    rows(
        "INSERT INTO window_counts (series, window_start, observed, counted_at) VALUES ('orders', %s, 7, %s)",
        dropped,
        NOW,
    )
    rows("INSERT INTO dirty_windows VALUES ('orders', %s)", dropped)
    count_windows(database, settings, NOW)
    assert rows(COUNTS)[0] == (dropped, 7, 1)
    assert rows("SELECT * FROM dirty_windows") == []


def test_a_window_that_an_ingest_still_writes_to_is_left_to_the_next_recount(
    have: Callable[..., None], database: Database, settings: Settings, rows: Rows
) -> None:
    have("11:01", "11:06")
    with connected(database) as other, other.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dirty_windows VALUES ('orders', %s) ON DUPLICATE KEY UPDATE series = series",
            (at("11:00"),),
        )
        assert recount_dirty_windows(database, settings, NOW) == (1, 1)
        other.commit()
    assert recount_dirty_windows(database, settings, NOW) == (1, 1)
    assert [observed for _, observed, _ in rows(COUNTS)] == [1, 1]


deliveries = st.lists(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abcd")), max_size=12), min_size=1, max_size=5
)


@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=deliveries, count_in_between=st.booleans())
def test_counts_equal_the_distinct_events_whatever_their_order(
    batches: list[list[tuple[int, str]]],
    count_in_between: bool,
    database: Database,
    settings: Settings,
    rows: Rows,
) -> None:
    empty(database)
    begin = at("10:00")
    seen: set[tuple[datetime, str]] = set()
    with connected(database) as connection:
        for place, batch in enumerate(batches):
            events = [("orders", begin + timedelta(minutes=minute), name) for minute, name in batch]
            take(connection, batch_of(events, watermark=begin + place * timedelta(minutes=20)), settings)
            seen |= {(occurred_at, name) for _, occurred_at, name in events}
            if count_in_between:
                count_windows(database, settings, NOW)
    count_windows(database, settings, NOW)
    expected = Counter(window_of(occurred_at) for occurred_at, _ in seen)
    stored = {start: observed for start, observed, _ in rows(COUNTS)}
    assert {start: observed for start, observed in stored.items() if observed} == expected
    for first, until in rows("SELECT first_window, counted_until FROM series"):
        whole = [first + place * WINDOW for place in range((until - first) // WINDOW)]
        assert set(whole) <= stored.keys()


def feed(database: Database, settings: Settings, source: str) -> None:
    with connected(database) as connection:
        for round_number in range(25):
            events = [
                (f"{source}-{number % 3}", at("10:00") + timedelta(seconds=number * 97 % 3600), f"{number}")
                for number in range(round_number * 20, round_number * 20 + 30)
            ]
            batch = batch_of(events, watermark=at("10:00") + timedelta(minutes=round_number * 3))
            take(connection, batch, settings, source=source)


def test_two_collectors_and_two_sources_at_once_come_out_right(
    database: Database, settings: Settings, rows: Rows
) -> None:
    fed = threading.Event()

    def count_until_fed() -> None:
        while not fed.is_set():
            count_windows(database, settings, NOW)

    with ThreadPoolExecutor() as pool:
        counters = [pool.submit(count_until_fed) for _ in range(2)]
        feeders = [pool.submit(feed, database, settings, source) for source in ("a", "b")]
        wait(feeders)
        fed.set()
        for future in (*feeders, *counters):
            future.result()
    count_windows(database, settings, NOW)
    events = "SELECT series, window_start, COUNT(*) FROM events GROUP BY series, window_start"
    counts = "SELECT series, window_start, observed FROM window_counts WHERE observed > 0"
    assert sorted(rows(events)) == sorted(rows(counts))
    assert rows("SELECT COUNT(*) FROM events") == [(2 * 510,)]
    assert rows("SELECT * FROM dirty_windows") == []


def test_the_recount_looks_up_whole_keys_only(connection: Connection[Any], database: Database) -> None:
    """The plan must not scan a series, for on millions of events that is the difference of an hour."""
    with connection.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute(
            "EXPLAIN FORMAT=TRADITIONAL " + statement("detection/recount_windows"),
            {"windows": as_json([("orders", NOW)])},
        )
        (events,) = [line for line in cursor.fetchall() if line["table"] == "e"]
    assert (events["type"], events["key"], events["key_len"]) == ("ref", "PRIMARY", "263")

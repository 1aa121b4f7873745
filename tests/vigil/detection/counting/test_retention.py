from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.detection.doubles import NOW
from vigil.database import Database, connected
from vigil.detection.counting import retention
from vigil.detection.counting.retention import dropped_before, keep_partitions
from vigil.errors import DatabaseError
from vigil.migrations import migrate
from vigil.windows import window_of

Rows = Callable[..., list[tuple[Any, ...]]]
KEPT = timedelta(days=30)


@pytest.fixture
def fresh(blank_database: Database) -> Database:
    """A migrated schema of its own: partitions stay when rows go."""
    migrate(blank_database)
    return blank_database


def partitions(database: Database) -> list[str]:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT partition_name FROM information_schema.partitions"
            " WHERE table_schema = DATABASE() AND table_name = 'events' ORDER BY partition_ordinal_position"
        )
        return [name for (name,) in cursor.fetchall()]


def put(connection: Connection[Any], *times: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO events VALUES ('orders', %s, %s, 'a')", [(window_of(time), time) for time in times]
        )
    connection.commit()


def test_weeks_are_made_from_the_oldest_event_kept_to_four_weeks_ahead(fresh: Database) -> None:
    keep_partitions(fresh, KEPT, NOW)
    names = partitions(fresh)
    assert (names[0], names[-2], names[-1]) == ("p20260202", "p20260330", "p_future")
    assert len(names) == 10


def test_a_second_run_changes_nothing(fresh: Database) -> None:
    keep_partitions(fresh, KEPT, NOW)
    names = partitions(fresh)
    keep_partitions(fresh, KEPT, NOW)
    assert partitions(fresh) == names


def test_expired_weeks_go_with_their_events_and_no_event_younger_goes(fresh: Database) -> None:
    keep_partitions(fresh, KEPT, NOW)
    with fresh.connect() as connection:
        put(connection, *(NOW - timedelta(days=days) for days in range(30)))
        for later in range(0, 60, 5):
            now = NOW + timedelta(days=later)
            keep_partitions(fresh, KEPT, now)
            with connection.cursor() as cursor:
                cursor.execute("SELECT MIN(occurred_at), COUNT(*) FROM events")
                oldest, count = cursor.fetchall()[0]
            connection.commit()
            kept = [days for days in range(30) if NOW - timedelta(days=days) >= now - KEPT]
            assert count >= len(kept)
            assert not count or oldest >= dropped_before(now, KEPT) - timedelta(days=7)
    assert partitions(fresh)[0] == "p20260323"


def test_events_beyond_the_last_week_are_found_again_after_it_was_made(fresh: Database) -> None:
    keep_partitions(fresh, KEPT, NOW)
    with fresh.connect() as connection:
        put(connection, NOW + timedelta(days=45))
        keep_partitions(fresh, KEPT, NOW + timedelta(days=30))
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM events PARTITION (p20260413)")
            assert cursor.fetchall() == ((1,),)


def test_whoever_reads_the_events_for_long_holds_up_nobody_and_is_told_when_no_time_is_left(
    fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PATIENCE_S", 1)
    keep_partitions(fresh, KEPT, NOW)
    names = partitions(fresh)
    with connected(fresh) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM events")
        keep_partitions(fresh, KEPT, NOW + timedelta(weeks=1))
        assert partitions(fresh) == names
        with pytest.raises(DatabaseError, match="events is read without a pause"):
            keep_partitions(fresh, KEPT, NOW + timedelta(weeks=4))
    keep_partitions(fresh, KEPT, NOW + timedelta(weeks=4))
    assert partitions(fresh)[-2] == "p20260427"


def test_two_at_once_do_the_work_once(fresh: Database) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            keep_partitions(fresh, KEPT, NOW)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(partitions(fresh)) == 10

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pymysql.connections import Connection

from vigil.database import Database, connected
from vigil.detection.expectations.statistics import keep_statistics
from vigil.series_statistics import statistics_by_day, tails_from_json
from vigil.windows import WINDOW, WINDOWS_PER_DAY, window_number

Rows = Callable[..., list[tuple[Any, ...]]]
Put = Callable[..., None]
FIRST = datetime(2026, 1, 5)
KEPT = "SELECT series, day, level, tails FROM series_statistics ORDER BY series, day"


def day(number: int) -> datetime:
    return FIRST + timedelta(days=number)


def drawn(seed: int, days: float, rate: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw counts with gaps, and what was expected of them, which nobody said on the first day."""
    generator = np.random.default_rng(seed)
    windows = int(days * WINDOWS_PER_DAY)
    expected = rate * (1.2 + np.sin(np.arange(windows) / 45))
    observed = generator.poisson(expected).astype(float)
    observed[generator.random(windows) < 0.05] = np.nan
    expected[:WINDOWS_PER_DAY] = np.nan
    return observed, expected


@pytest.fixture
def put(connection: Connection[Any]) -> Put:
    """Write a series down, as it was counted and judged."""

    def write(series: str, observed: np.ndarray, expected: np.ndarray, first: datetime = FIRST) -> None:
        end = first + len(observed) * WINDOW
        rows = [
            (series, first + place * WINDOW, int(count), None if np.isnan(due) else float(due), end)
            for place, (count, due) in enumerate(zip(observed, expected, strict=True))
            if not np.isnan(count)
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO series VALUES (%s, 'shop', %s, %s, NULL, %s, %s, %s, 0)",
                (series, first, end, first, end, end),
            )
            cursor.executemany(
                "INSERT INTO window_counts (series, window_start, observed, expected, counted_at)"
                " VALUES (%s, %s, %s, %s, %s)",
                rows,
            )
        connection.commit()

    return write


def assert_kept(rows: Rows, series: str, observed: np.ndarray, expected: np.ndarray, days: range) -> None:
    first = window_number(FIRST)
    numbers = range(first // WINDOWS_PER_DAY + days.start, first // WINDOWS_PER_DAY + days.stop)
    at_once = statistics_by_day(first, observed, expected, numbers)
    kept = [(level, tails) for name, _, level, tails in rows(KEPT) if name == series]
    assert [level for level, _ in kept] == [statistics.level for statistics in at_once]
    for (_, text), statistics in zip(kept, at_once, strict=True):
        np.testing.assert_allclose(tails_from_json(json.loads(text)), statistics.tails, atol=1e-4)


def test_what_is_kept_day_by_day_equals_what_is_drawn_at_once(
    connection: Connection[Any], put: Put, rows: Rows
) -> None:
    series = {name: drawn(seed, 26, rate) for seed, (name, rate) in enumerate([("a", 3.0), ("ü b", 400.0)])}
    for name, counts in series.items():
        put(name, *counts)
    days = range(23, 27)
    for number in days:
        assert keep_statistics(connection, day(number)) == 2
    for name, counts in series.items():
        assert_kept(rows, name, *counts, days)


def test_what_is_there_stays_unless_its_past_was_judged_again(
    connection: Connection[Any], put: Put, rows: Rows
) -> None:
    counts = drawn(1, 3)
    put("orders", *counts)
    assert keep_statistics(connection, day(2)) == 1
    first = rows(KEPT)
    rows("UPDATE window_counts SET observed = 1000 WHERE window_start >= %s", day(1))
    assert keep_statistics(connection, day(2)) == 0
    assert rows(KEPT) == first
    assert keep_statistics(connection, day(2), anew=True) == 1
    assert rows(KEPT) != first
    again = rows(KEPT)
    assert keep_statistics(connection, day(2), anew=True) == 1
    assert rows(KEPT) == again


def test_statistics_that_were_lost_are_drawn_as_they_were(
    connection: Connection[Any], put: Put, rows: Rows
) -> None:
    put("orders", *drawn(2, 5))
    for number in range(2, 6):
        keep_statistics(connection, day(number))
    before = rows(KEPT)
    rows("DELETE FROM series_statistics")
    for number in reversed(range(2, 6)):
        keep_statistics(connection, day(number))
    assert rows(KEPT) == before


def test_a_series_without_a_day_of_counts_has_no_statistics_and_the_others_have(
    connection: Connection[Any], put: Put, rows: Rows
) -> None:
    put("old", *drawn(3, 2))
    put("brief", *drawn(4, 0.5), first=day(1) + timedelta(hours=12))
    nothing = np.full(2 * WINDOWS_PER_DAY, np.nan)
    put("uncounted", nothing, nothing)
    keep_statistics(connection, day(2))
    assert [(series, on) for series, on, *_ in rows(KEPT)] == [("old", date(2026, 1, 7))]


def test_a_day_waits_until_all_of_the_day_before_it_is_counted(
    connection: Connection[Any], put: Put, rows: Rows
) -> None:
    counts = drawn(5, 3)
    put("orders", *counts)
    rows("UPDATE series SET counted_until = %s", day(3) - WINDOW)
    assert keep_statistics(connection, day(3)) == 0
    rows("UPDATE series SET counted_until = %s", day(3))
    assert keep_statistics(connection, day(3)) == 1
    assert_kept(rows, "orders", *counts, range(3, 4))


def test_more_series_than_fit_into_a_step_are_all_drawn(
    connection: Connection[Any], put: Put, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vigil.detection.expectations.statistics._SERIES_PER_STEP", 2)
    for number in range(5):
        put(f"series-{number}", *drawn(number, 2))
    assert keep_statistics(connection, day(2)) == 5
    assert [series for series, *_ in rows(KEPT)] == [f"series-{number}" for number in range(5)]


def test_when_only_some_series_are_drawn_the_others_are_next(
    connection: Connection[Any], put: Put, rows: Rows
) -> None:
    for number in range(5):
        put(f"series-{number}", *drawn(number, 2))
    assert [keep_statistics(connection, day(2), at_most=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [series for series, *_ in rows(KEPT)] == [f"series-{number}" for number in range(5)]


def test_a_series_without_events_and_one_of_billions_are_drawn_too(
    connection: Connection[Any], put: Put, rows: Rows
) -> None:
    for series, count in (("silent", 0.0), ("huge", 2.0**32 - 1)):
        put(series, np.full(2 * WINDOWS_PER_DAY, count), np.full(2 * WINDOWS_PER_DAY, count))
    keep_statistics(connection, day(2))
    assert [(series, level) for series, _, level, _ in rows(KEPT)] == [("huge", 2**32 - 1), ("silent", 0)]
    for *_, text in rows(KEPT):
        assert (tails_from_json(json.loads(text)) == 1.5).all()


def test_two_at_once_keep_the_same(database: Database, put: Put, rows: Rows) -> None:
    series = {f"series-{number:02d}": drawn(number, 2) for number in range(12)}
    for name, counts in series.items():
        put(name, *counts)
    begin = threading.Barrier(2, timeout=20)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with connected(database) as own:
                begin.wait()
                keep_statistics(own, day(2), anew=True)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for name, counts in series.items():
        assert_kept(rows, name, *counts, range(2, 3))

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pymysql.connections import Connection

from tests.vigil.health.released import MODEL, ONE, RELEASED_AT, SETTINGS, TWO, count, judge, release
from vigil.database import Database
from vigil.health import measuring
from vigil.health.measuring import Measured, measure

Rows = Callable[..., list[tuple[Any, ...]]]
FIRST = date(2026, 11, 1)
MIDNIGHT = datetime(2026, 11, 1)
WINDOW = timedelta(minutes=5)
DAY = timedelta(days=1)
HEALTH = (
    "SELECT model_version, series, day, windows, inside, observed, absolute_error, error FROM model_health"
    " ORDER BY 1, 2, 3"
)


@pytest.fixture
def run(database: Database, connection: Connection[Any]) -> Callable[[datetime], Measured]:
    release(connection)
    return lambda now: measure(database, MODEL, SETTINGS, now)


def recomputed(
    counts: dict[tuple[str, datetime], int], verdicts: list[tuple[Any, ...]], days: list[date]
) -> dict[tuple[str, str, date], list[float]]:
    """Measure without SQL."""
    holding: dict[tuple[str, datetime], tuple[Any, ...]] = {}
    for verdict in sorted(verdicts, key=lambda v: (v[2], v[7], v[3])):
        holding[verdict[0], verdict[1]] = verdict
    found: dict[tuple[str, str, date], list[float]] = {}
    for (series, start), (_, _, _, version, expected, lower, upper, _) in holding.items():
        if start.date() not in days:
            continue
        sums = found.setdefault((version, series, start.date()), [0, 0, 0, 0.0, 0.0])
        observed = counts[series, start]
        sums[0] += 1
        if lower <= observed <= upper:
            sums[1] += 1
            sums[2] += observed
            sums[3] += abs(expected - observed)
            sums[4] += expected - observed
    return found


@pytest.mark.parametrize("seed", range(2))
def test_figures_are_those_of_a_plain_recomputation(
    run: Callable[..., Measured], connection: Connection[Any], rows: Rows, monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(measuring, "_SERIES_PER_STATEMENT", 2)
    random = np.random.default_rng(seed)
    counts: dict[tuple[str, datetime], int] = {}
    verdicts: list[tuple[Any, ...]] = []
    for series in ("orders", "Orders", "clicks", "mails", "visits"):
        rate = random.uniform(0.2, 60)
        starts = [MIDNIGHT + place * WINDOW for place in range(-20, 2 * 288 + 40)]
        own = dict(zip(starts, random.poisson(rate, len(starts)).tolist(), strict=True))
        count(connection, series, own)
        counts |= {(series, start): observed for start, observed in own.items()}
        for start in starts:
            for revision in range(1, 1 + random.integers(0, 4)):
                for version in random.permutation([ONE, TWO])[: random.integers(1, 3)].tolist():
                    expected = float(random.normal(rate, 2))
                    lower, upper = expected - random.integers(0, 9), expected + random.integers(0, 9)
                    judged_at = start + timedelta(hours=int(random.integers(1, 4)))
                    verdicts.append(
                        (series, start, revision, version, expected, float(lower), float(upper), judged_at)
                    )
    judge(connection, verdicts)
    outcome = run(MIDNIGHT + 2 * DAY + timedelta(hours=1))
    days = [FIRST, FIRST + DAY]
    assert outcome.days == tuple(days)
    expected_rows = recomputed(counts, verdicts, days)
    found = {(version, series, day): sums for version, series, day, *sums in rows(HEALTH)}
    assert outcome.rows == len(found) == len(expected_rows) == 20
    for key, sums in expected_rows.items():
        assert found[key] == pytest.approx(sums, rel=1e-9, abs=1e-9), key


def test_an_edge_of_the_band_belongs_to_it_and_what_lies_outside_counts_for_the_coverage_alone(
    run: Callable[..., Measured], connection: Connection[Any], rows: Rows
) -> None:
    counts = dict(zip([MIDNIGHT + n * WINDOW for n in range(4)], [10, 20, 21, 9], strict=True))
    count(connection, "orders", counts)
    judge(connection, [("orders", start, 1, ONE, 14.0, 10.0, 20.0, start) for start in counts])
    run(MIDNIGHT + DAY + timedelta(hours=1))
    assert rows(HEALTH) == [(ONE, "orders", FIRST, 4, 2, 30, 10.0, -2.0)]


def test_a_recount_changes_the_truth_until_no_late_event_can_come(
    run: Callable[..., Measured], connection: Connection[Any], rows: Rows
) -> None:
    count(connection, "orders", {MIDNIGHT: 10})
    judge(connection, [("orders", MIDNIGHT, 1, ONE, 14.0, 0.0, 90.0, MIDNIGHT)])
    night = MIDNIGHT + DAY + timedelta(hours=1, minutes=20)
    assert run(night).days == (FIRST,)
    assert run(night).days == (FIRST,)
    rows("UPDATE window_counts SET observed = 12")
    run(night + DAY)
    assert [row[5:] for row in rows(HEALTH)] == [(12, 2.0, 2.0)]

    # Three days after its end a day has its last measurement, whenever that comes.
    rows("UPDATE window_counts SET observed = 13")
    assert FIRST in run(night + 9 * DAY).days
    rows("UPDATE window_counts SET observed = 90")
    assert FIRST not in run(night + 10 * DAY).days
    assert [row[5:] for row in rows(HEALTH)] == [(13, 1.0, 1.0)]


def test_a_window_that_another_version_judges_again_leaves_the_first_one(
    run: Callable[..., Measured], connection: Connection[Any], rows: Rows
) -> None:
    count(connection, "orders", {MIDNIGHT: 10})
    judge(connection, [("orders", MIDNIGHT, 1, ONE, 14.0, 0.0, 90.0, MIDNIGHT)])
    run(MIDNIGHT + DAY + timedelta(hours=1))
    judge(connection, [("orders", MIDNIGHT, 1, TWO, 11.0, 0.0, 90.0, MIDNIGHT + DAY)])
    run(MIDNIGHT + DAY + timedelta(hours=2))
    assert rows(HEALTH) == [(TWO, "orders", FIRST, 1, 1, 10, 1.0, 1.0)]


def test_only_days_that_are_over_since_the_first_release_and_none_too_long_past(
    run: Callable[..., Measured], rows: Rows
) -> None:
    # The last window of a day may be judged when the allowed lateness has passed.
    assert run(MIDNIGHT + DAY + timedelta(seconds=59)).days == ()
    assert run(MIDNIGHT + DAY + timedelta(seconds=60)).days == (FIRST,)
    # Nights that were left out are made up for, a day without a verdict too, and only once.
    assert run(MIDNIGHT + 9 * DAY).days == tuple(FIRST + n * DAY for n in range(8))
    assert run(MIDNIGHT + 9 * DAY).days == tuple(FIRST + n * DAY for n in range(5, 8))
    assert rows("SELECT COUNT(*) FROM model_health_days") == [(8,)]
    assert run(MIDNIGHT + 99 * DAY + timedelta(hours=1)).days[0] == FIRST + 70 * DAY


def test_no_band_is_read_to_learn_which_days_there_are(run: Callable[..., Measured], rows: Rows) -> None:
    rows("UPDATE released_models SET band = 'of no use'")
    assert run(MIDNIGHT + DAY + timedelta(hours=1)).days == (FIRST,)


def test_without_a_released_model_nothing_is_measured(database: Database) -> None:
    assert measure(database, MODEL, SETTINGS, RELEASED_AT + DAY) == Measured((), 0)


def test_two_who_measure_at_once_leave_each_row_once(
    run: Callable[..., Measured], connection: Connection[Any], rows: Rows
) -> None:
    counts = {MIDNIGHT + n * WINDOW: 10 for n in range(288)}
    for series in ("orders", "clicks"):
        count(connection, series, counts)
        judge(connection, [(series, start, 1, ONE, 14.0, 0.0, 90.0, start) for start in counts])
    outcomes: list[Measured] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(run(MIDNIGHT + DAY + timedelta(hours=1))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert outcomes == [Measured((FIRST,), 2)] * 4
    assert [row[3:] for row in rows(HEALTH)] == [(288, 288, 2880, 1152.0, 1152.0)] * 2

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from tests.conftest import empty
from tests.vigil.detection.conftest import insert_release
from tests.vigil.detection.doubles import BAND, NOW, VERSION, Expecting, always, at
from vigil.database import Database, connected
from vigil.detection.backfilling import BackfillOutcome, judge_period
from vigil.detection.judging import judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.detection.sources import NEVER
from vigil.settings import Settings

Rows = Callable[..., list[tuple[Any, ...]]]
Judge = Callable[..., BackfillOutcome]
Counted = Callable[..., None]
DAY = datetime(2026, 3, 1)
INCIDENTS = (
    "SELECT series, opened_at, last_anomalous, closed_at, kind, windows FROM incidents"
    " ORDER BY series, opened_at"
)


@pytest.fixture
def judge(database: Database, pipeline: Pipeline, settings: Settings) -> Judge:
    def run(
        day: int = 0, days: int = 1, predictor: Expecting | None = None, **options: Any
    ) -> BackfillOutcome:
        start = DAY + timedelta(days=day)
        return judge_period(
            database,
            always(predictor or Expecting(20)),
            pipeline,
            settings,
            start,
            start + timedelta(days=days),
            options.pop("now", NOW),
            **options,
        )

    return run


def days_of_counts(*anomalous: int, windows: int = 3 * 288) -> list[int]:
    counts = [20] * windows
    for place in anomalous:
        counts[place] = 90
    return counts


def test_without_a_model_nothing_is_judged(judge: Judge, counted: Counted) -> None:
    counted("orders", [20, 20], first=DAY, live_from=NEVER)
    assert judge() == BackfillOutcome(None)


def test_all_series_are_judged_together_and_the_day_but_for_its_last_windows_at_once(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    for series in ("a", "b"):
        counted(series, days_of_counts(5, 6, 100), first=DAY, live_from=NEVER, retired=True)
    outcome = judge()
    assert outcome == BackfillOutcome(VERSION, judged=576, anomalous=6, endpoint_calls=2, incidents=4)
    assert rows("SELECT COUNT(*) FROM alerts") == [(0,)]
    assert rows("SELECT MIN(window_start), MAX(window_start) FROM predictions") == [
        (DAY, DAY + timedelta(hours=23, minutes=55))
    ]


def test_a_second_run_doubles_nothing(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", days_of_counts(5, 6, 287, 288), first=DAY, live_from=NEVER)
    judge(days=3)
    first = rows(INCIDENTS)
    assert judge(days=3).judged == 864
    assert rows(INCIDENTS) == first
    assert rows("SELECT COUNT(*) FROM predictions") == [(864,)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_incident_over_midnight_is_one_whatever_the_order_of_days(
    order: tuple[int, ...], judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", days_of_counts(*range(280, 580)), first=DAY, live_from=NEVER)
    for day in order:
        judge(day)
    start = DAY + timedelta(minutes=5 * 280)
    end = DAY + timedelta(minutes=5 * 579)
    assert rows(INCIDENTS) == [("orders", start, end, end + timedelta(minutes=5), "high", 300)]


@pytest.mark.parametrize(
    ("rules", "share", "fewest"),
    [
        ({"closes_after_min": 5, "reopens_within_h": 0}, 0.4, 50),
        ({"closes_after_min": 30, "reopens_within_h": 3}, 0.02, 5),
    ],
)
def test_judging_by_days_in_any_order_and_at_once_find_the_same_incidents(
    rules: dict[str, float],
    share: float,
    fewest: int,
    database: Database,
    pipeline: Pipeline,
    settings: Settings,
    counted: Counted,
    rows: Rows,
) -> None:
    incidents = pipeline.incidents.model_copy(update=rules)
    pipeline = pipeline.model_copy(update={"incidents": incidents})
    places = np.flatnonzero(np.random.default_rng(3).random(864) < share).tolist()
    found = []
    for order in ((), (0, 1, 2), (2, 0, 1)):
        empty(database)
        with connected(database) as connection:
            insert_release(connection, VERSION, "champion", BAND)
        counted("orders", days_of_counts(*places), first=DAY, live_from=NEVER)
        for first, end in [(day, day + 1) for day in order] or [(0, 3)]:
            start, until = (DAY + timedelta(days=day) for day in (first, end))
            judge_period(database, always(Expecting(20)), pipeline, settings, start, until, NOW)
        found.append(
            rows("SELECT opened_at, last_anomalous, closed_at, windows, flares FROM incidents ORDER BY 1")
        )
    assert found[0] == found[1] == found[2]
    assert len(found[0]) >= fewest


def test_an_incident_that_lasts_to_the_end_of_its_series_closes_there(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", [20, 90, 90], first=DAY, live_from=NEVER, retired=True)
    judge()
    assert rows("SELECT closed_at FROM incidents") == [(DAY + timedelta(minutes=15),)]


def test_another_version_of_the_model_finds_its_own_incidents(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", days_of_counts(5, 6), first=DAY, live_from=NEVER)
    judge()
    rows("UPDATE released_models SET status = 'retired'")
    released("event-counts/2")
    judge(predictor=Expecting(90, variant="event-counts-2"), now=NOW + timedelta(days=1))
    low = [(opened, windows, kind) for _, opened, _, _, kind, windows in rows(INCIDENTS)]
    assert low == [(DAY, 5, "low"), (DAY + timedelta(minutes=35), 281, "low")]


def test_alerts_are_sent_only_when_asked_and_then_once(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", days_of_counts(5, 6, 100), first=DAY, live_from=NEVER)
    assert judge().alerts == 0
    assert judge(send_alerts=True).alerts == 4
    assert judge(send_alerts=True).alerts == 0
    assert rows("SELECT DISTINCT alerted FROM incidents") == [(1,)]
    judge()
    assert rows("SELECT DISTINCT alerted FROM incidents") == [(1,)]


def test_only_what_has_no_verdict_on_its_present_count_is_judged_when_asked(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", days_of_counts(5), first=DAY, live_from=NEVER)
    judge()
    rows("UPDATE window_counts SET observed = 88, revision = 2 WHERE window_start = %s", DAY)
    assert judge(only_unjudged=True).judged == 1
    assert judge(only_unjudged=True).judged == 0
    assert [opened for _, opened, *_ in rows(INCIDENTS)] == [DAY, DAY + timedelta(minutes=25)]


def test_live_windows_keep_the_incidents_that_people_were_told_of(
    judge: Judge,
    counted: Counted,
    released: Callable[..., str],
    rows: Rows,
    database: Database,
    pipeline: Pipeline,
    settings: Settings,
) -> None:
    released()
    live_from = DAY + timedelta(hours=1)
    counted("orders", days_of_counts(10, 11, 12, 13, windows=20), first=DAY, live_from=live_from)
    before = judge()
    # The live windows wait for the live judge.
    assert before.judged == 12
    judge_due_windows(database, always(Expecting(20)), pipeline, settings, NOW)
    expected = [
        ("orders", DAY + timedelta(minutes=50), DAY + timedelta(minutes=55), live_from, "high", 2),
        ("orders", live_from, live_from + timedelta(minutes=5), live_from + timedelta(minutes=10), "high", 2),
    ]
    incidents = "SELECT * FROM incidents WHERE kind = 'high'"
    told = rows(incidents)
    assert rows(INCIDENTS)[:2] == expected
    assert judge().judged == 20
    assert rows(incidents) == told


def test_windows_that_are_open_or_unknown_are_left_out(
    judge: Judge, counted: Counted, released: Callable[..., str], settings: Settings
) -> None:
    released()
    counted("orders", [20] * 6, first=at("11:00"), live_from=NEVER)
    now = at("11:20") + settings.allowed_lateness
    assert judge(day=3, now=now - timedelta.resolution).judged == 3
    assert judge(day=3, now=now).judged == 4

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pymysql
import pytest

from tests.conftest import empty
from tests.vigil.detection.conftest import insert_release
from tests.vigil.detection.doubles import BAND, NOW, VERSION, Expecting, always, at, calibration_of
from vigil.database import Database, connected
from vigil.detection.backfilling import BackfillOutcome, judge_period
from vigil.detection.judging import judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.detection.sources import NEVER
from vigil.features import FEATURE_NAMES
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


def test_a_transform_job_may_take_longer_than_the_database_keeps_idle_connections(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    others = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db = DATABASE()"
    released()
    counted("orders", [20] * 12, first=DAY, live_from=NEVER, retired=True)
    before = set(rows(others))

    def end_connections() -> None:
        for (number,) in set(rows(others)) - before:
            with suppress(pymysql.err.OperationalError):  # it has ended by itself
                rows(f"KILL {number}")

    assert judge(predictor=Expecting(20, before_answer=end_connections)).judged == 12


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


def expectation_of(rows: Rows) -> list[tuple[Any, ...]]:
    return rows("SELECT series, window_start, expected, usual FROM window_counts ORDER BY 1, 2")


def test_no_window_looks_back_on_another_of_its_call_as_a_usual_one(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    """The last windows of a day look back on its first ones: those must be judged, and usual, before."""
    released()
    days = days_of_counts(0, 1, 2, windows=3 * 288)
    counted("orders", days, first=DAY, live_from=NEVER)
    predictor = Expecting(20)
    judge(days=2, predictor=predictor)
    slots = [FEATURE_NAMES.index(name) for name in ("yesterday", "median_of_same_slots")]
    described = np.concatenate(predictor.asked)
    assert len(described) == 2 * 288
    # 90 events were seen in the first windows, and 36 are usual at most: so much is looked back on.
    assert described[286:, slots].max() == 36
    assert [len(asked) for asked in predictor.asked] == [286, 2, 286, 2]


@pytest.mark.parametrize("minute", [0, 5, 12 * 60 + 35, 24 * 60 - 5])
def test_a_period_that_begins_within_a_day_is_cut_at_midnight_too(
    minute: int, database: Database, pipeline: Pipeline, settings: Settings, counted: Counted,
    released: Callable[..., str], rows: Rows,
) -> None:  # fmt: skip
    released()
    counted("orders", days_of_counts(), first=DAY, live_from=NEVER)
    start = DAY + timedelta(minutes=minute)
    predictor = Expecting(20)
    end = DAY + timedelta(days=2, hours=1)
    outcome = judge_period(database, always(predictor), pipeline, settings, start, end, NOW)
    assert outcome.judged == (end - start) // timedelta(minutes=5)
    sizes = [len(asked) for asked in predictor.asked]
    first_day = 288 - minute // 5
    assert sizes == [*([286, first_day - 286] if first_day > 286 else [first_day]), 286, 2, 12]
    days = [day for (day,) in rows("SELECT DISTINCT day FROM series_statistics ORDER BY 1")]
    assert days == [(DAY + timedelta(days=number)).date() for number in (1, 2)]


def test_a_day_judged_twice_is_judged_the_same(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    generator = np.random.default_rng(8)
    counts = generator.poisson(20, 5 * 288)
    counts[[700, 701, 1_000, 1_200]] = 90
    counted("orders", counts.tolist(), first=DAY - timedelta(days=2), live_from=NEVER)
    verdicts = (
        "SELECT window_start, revision, expected, lower_bound, upper_bound, score, extrapolated, verdict"
        " FROM predictions ORDER BY 1"
    )
    statistics = "SELECT * FROM series_statistics ORDER BY series, day"
    judge(-2, days=5)
    first = (rows(verdicts), rows(statistics), expectation_of(rows))
    judge(0)
    assert (rows(verdicts), rows(statistics), expectation_of(rows)) == first
    judge(-2, days=5)
    assert (rows(verdicts), rows(statistics), expectation_of(rows)) == first


def test_behind_a_day_that_is_judged_the_statistics_of_the_next_are_drawn_anew(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", days_of_counts(5), first=DAY, live_from=NEVER)
    drawn = "SELECT day, tails FROM series_statistics ORDER BY day"
    judge(0)
    ((day, tails),) = rows(drawn)
    assert day == (DAY + timedelta(days=1)).date()
    judge(0, predictor=Expecting(25))
    ((_, other),) = rows(drawn)
    assert other != tails
    judge(0, predictor=Expecting(20), only_unjudged=True)
    assert rows(drawn) == [(day, other)]


def test_verdicts_of_an_older_version_stay_and_the_newer_one_says_what_is_usual(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", days_of_counts(5), first=DAY, live_from=NEVER)
    judge()
    by_version = "SELECT window_start, verdict, score, expected FROM predictions WHERE model_version = %s"
    older = rows(by_version, VERSION)
    usual = "SELECT usual FROM window_counts WHERE window_start = %s"
    assert rows(usual, DAY + timedelta(minutes=25)) == [(36,)]
    rows("UPDATE released_models SET status = 'retired'")
    newer = released("event-counts/2", band=calibration_of(reach=99.0))
    judge(predictor=Expecting(21, variant="event-counts-2"), now=NOW + timedelta(days=1))
    assert rows(by_version, VERSION) == older
    assert {verdict for _, verdict, *_ in rows(by_version, newer)} == {"normal"}
    assert rows(usual, DAY + timedelta(minutes=25)) == [(None,)]
    assert rows(
        "SELECT DISTINCT expected FROM window_counts WHERE window_start < %s", DAY + timedelta(days=1)
    ) == [(21.0,)]


def test_live_judging_and_a_backfill_of_the_same_windows_say_the_same(
    judge: Judge,
    counted: Counted,
    released: Callable[..., str],
    rows: Rows,
    database: Database,
    pipeline: Pipeline,
    settings: Settings,
) -> None:
    released()
    counts = np.random.default_rng(4).poisson(20, 3 * 288)
    counts[[400, 500, 501, 640]] = 90
    verdicts = (
        "SELECT window_start, expected, lower_bound, upper_bound, score, verdict FROM predictions ORDER BY 1"
    )
    found = []
    for live in (True, False):
        empty(database)
        with connected(database) as connection:
            insert_release(connection, VERSION, "champion", BAND)
        counted("orders", counts.tolist(), first=DAY, live_from=DAY if live else NEVER)
        if live:
            judge_due_windows(database, always(Expecting(20)), pipeline, settings, NOW)
        else:
            judge(days=3)
        found.append((rows(verdicts), rows("SELECT * FROM series_statistics"), expectation_of(rows)))
    live_found, backfilled = found
    assert len(live_found[0]) == 3 * 288
    assert live_found[0] == backfilled[0]
    assert live_found[2] == backfilled[2]
    # The backfill draws those of the day behind the period too.
    assert live_found[1] == backfilled[1][:2]

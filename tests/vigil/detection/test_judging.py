from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from pymysql.connections import Connection

from tests.vigil.detection.doubles import ENDPOINT, NOW, VERSION, Expecting, always, at, calibration_of
from vigil.anscombe import counts_of, stabilised
from vigil.database import Database
from vigil.detection import judging
from vigil.detection.judging import JudgeOutcome, judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.errors import CloudError
from vigil.series_statistics import tails_from_json
from vigil.settings import Settings

Rows = Callable[..., list[tuple[Any, ...]]]
Judge = Callable[..., JudgeOutcome]
Counted = Callable[..., None]
VERDICTS = "SELECT window_start, revision, observed, verdict FROM predictions ORDER BY window_start, revision"
INCIDENTS = "SELECT opened_at, last_anomalous, closed_at, kind, windows FROM incidents ORDER BY opened_at"
LATER = NOW + timedelta(hours=1)
YESTERDAY_EVENING = at("00:00") - timedelta(hours=1)


@pytest.fixture
def judge(database: Database, pipeline: Pipeline, settings: Settings) -> Judge:
    def run(predictor: Expecting | None = None, now: Any = LATER) -> JudgeOutcome:
        # The tests' sources stand still on purpose; what is said of silence has tests of its own.
        calm = pipeline.model_copy(update={"silent_after_s": 10**9})
        return judge_due_windows(database, always(predictor or Expecting(20)), calm, settings, now)

    return run


def test_without_a_model_every_mark_stays(judge: Judge, counted: Counted, rows: Rows) -> None:
    counted("orders", [20, 20], first=at("12:00"), live_from=at("12:00"))
    assert judge() == JudgeOutcome(model_version=None)
    assert rows("SELECT COUNT(*) FROM unjudged_windows") == [(2,)]


def test_a_window_is_judged_once_against_the_band_on_both_sides(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    middle = stabilised(np.array([20.0]))
    lower, upper = float(counts_of(middle - 3)[0]), float(counts_of(middle + 3)[0])
    inside = [int(lower) + 1, 20, int(upper)]
    counted("orders", [*inside, int(lower), int(upper) + 1], first=at("12:00"), live_from=at("12:00"))
    outcome = judge()
    assert (outcome.judged, outcome.anomalous, outcome.endpoint_calls) == (5, 2, 1)
    assert [row[3] for row in rows(VERDICTS)] == ["normal", "normal", "normal", "low", "high"]
    assert judge().judged == 0
    bounds = rows("SELECT DISTINCT model_version, expected, lower_bound, upper_bound FROM predictions")
    assert bounds == [(VERSION, 20.0, pytest.approx(lower), pytest.approx(upper))]


def test_what_is_due_when_the_time_is_over_is_left_to_the_next_run(
    database: Database,
    pipeline: Pipeline,
    settings: Settings,
    counted: Counted,
    released: Callable[..., str],
) -> None:
    released()
    counted("orders", [20] * 24, first=YESTERDAY_EVENING, live_from=YESTERDAY_EVENING)
    judge = partial(judge_due_windows, database, always(Expecting(20)), pipeline, settings, LATER)
    outcomes = [judge(until=0.0), judge(until=0.0), judge()]
    assert [(outcome.judged, outcome.unfinished) for outcome in outcomes] == [
        (12, True),
        (12, False),
        (0, False),
    ]


def test_only_closed_windows_are_judged(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows, settings: Settings
) -> None:
    released()
    counted("orders", [20, 20, 20], first=at("12:00"), live_from=at("12:00"))
    closed = at("12:10") + settings.allowed_lateness
    assert judge(now=closed - timedelta.resolution).judged == 1
    assert judge(now=closed).judged == 1
    rows("UPDATE series SET counted_until = %s", at("12:10"))
    assert judge().judged == 0
    rows("UPDATE series SET counted_until = %s", at("12:15"))
    assert judge().judged == 1


def test_a_window_up_to_which_something_waits_to_be_counted_is_not_judged(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", [20, 20, 20], first=at("12:00"), live_from=at("12:00"))
    rows("INSERT INTO dirty_windows VALUES ('orders', %s), ('clicks', %s)", at("12:05"), at("12:00"))
    assert judge().judged == 1
    rows("DELETE FROM dirty_windows")
    assert judge().judged == 2


def test_an_incident_opens_goes_on_and_closes_with_one_alert_each(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counts = [20, 90, 95, 91, 20, 20, 2]
    for place, count in enumerate(counts):
        start = at("12:00") + place * timedelta(minutes=5)
        counted("orders", [count], first=start, live_from=at("12:00"))
        judge()
    assert rows(INCIDENTS) == [
        (at("12:05"), at("12:15"), at("12:20"), "high", 3),
        (at("12:30"), at("12:30"), None, "low", 1),
    ]
    assert rows("SELECT identity FROM alerts ORDER BY alert_id") == [
        ("orders/20260304T1205Z/opened/1",),
        ("orders/20260304T1205Z/closed/1",),
        ("orders/20260304T1230Z/opened/1",),
    ]
    assert rows("SELECT peak_window FROM incidents WHERE kind = 'high'") == [(at("12:10"),)]


def test_a_backlog_is_judged_in_order_in_bounded_steps(
    judge: Judge,
    counted: Counted,
    released: Callable[..., str],
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "_WINDOWS_PER_STEP", 3)
    released()
    for series in ("a", "b"):
        counted(series, [20, 90, 90, 90, 20], first=at("12:00"), live_from=at("12:00"))
    outcome = judge()
    assert (outcome.judged, outcome.opened, outcome.closed, outcome.alerts) == (10, 2, 2, 4)
    assert rows(INCIDENTS) == [(at("12:05"), at("12:15"), at("12:20"), "high", 3)] * 2


def test_a_window_counted_again_gets_a_new_verdict_beside_the_old_one(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", [20, 20, 90], first=at("12:00"), live_from=at("12:00"))
    judge()
    before = rows(INCIDENTS)
    rows("UPDATE window_counts SET observed = 21, revision = 2 WHERE window_start = %s", at("12:00"))
    rows("INSERT INTO unjudged_windows VALUES ('orders', %s)", at("12:00"))
    assert judge().judged == 1
    assert rows(VERDICTS)[:2] == [(at("12:00"), 1, 20, "normal"), (at("12:00"), 2, 21, "normal")]
    assert rows(INCIDENTS) == before
    assert rows("SELECT COUNT(*) FROM alerts") == [(1,)]


def test_a_count_that_changed_while_the_endpoint_answered_keeps_its_mark(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", [20, 20], first=at("12:00"), live_from=at("12:00"))
    change = "UPDATE window_counts SET observed = 80, revision = 2 WHERE window_start = %s AND revision = 1"
    assert judge(Expecting(20, before_answer=lambda: rows(change, at("12:05")))).judged == 2
    assert rows(VERDICTS) == [(at("12:00"), 1, 20, "normal"), (at("12:05"), 2, 80, "high")]


def test_each_window_is_held_against_the_band_of_the_version_that_answered(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    released("event-counts/2", status="deploying", band=calibration_of(reach=99.0))
    counted("orders", [90], first=at("12:00"), live_from=at("12:00"))
    outcome = judge(Expecting(20, variant="event-counts-2"))
    assert (outcome.judged, outcome.anomalous) == (1, 0)
    assert rows("SELECT model_version FROM predictions") == [("event-counts/2",)]


def test_an_answer_of_a_version_nobody_released_is_an_error_and_nothing_is_written(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", [90], first=at("12:00"), live_from=at("12:00"))
    with pytest.raises(CloudError, match=f"endpoint {ENDPOINT} answered with the variant 'by-hand'"):
        judge(Expecting(20, variant="by-hand"))
    assert rows("SELECT COUNT(*) FROM unjudged_windows") == [(1,)]
    assert rows(VERDICTS) == []


def test_two_judges_at_once_judge_each_window_once_and_tell_each_incident_once(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    for number in range(19):
        counted(f"series-{number}", [20, 90, 90, 20], first=at("12:00"), live_from=at("12:00"))
    # Both have read the same due windows before either writes.
    both_asked = threading.Barrier(2, timeout=20)
    outcomes: list[JudgeOutcome] = []

    def run() -> None:
        outcomes.append(judge(Expecting(20, before_answer=both_asked.wait)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.judged for outcome in outcomes) == [0, 76]
    assert rows("SELECT COUNT(*) FROM predictions") == [(76,)]
    assert rows("SELECT COUNT(*), SUM(windows) FROM incidents") == [(19, 38)]
    assert rows("SELECT COUNT(*) FROM alerts") == [(38,)]


def test_judging_many_series_for_one_window_takes_one_call(
    judge: Judge, counted: Counted, released: Callable[..., str], connection: Connection[Any]
) -> None:
    released()
    for number in range(300):
        counted(f"series-{number:03d}", [20], first=at("12:00"), live_from=at("12:00"))
    outcome = judge()
    assert (outcome.judged, outcome.endpoint_calls) == (300, 1)


def test_a_day_is_judged_by_statistics_that_follow_from_all_windows_before_it(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    """Those of the last windows before midnight too, though they were judged in the same run."""
    released()
    counted(
        "orders",
        [20] * 291,
        first=at("00:00") - timedelta(days=1),
        live_from=YESTERDAY_EVENING,
    )
    rows("UPDATE window_counts SET expected = 20 WHERE window_start < %s", YESTERDAY_EVENING)
    spike = at("00:00") - 2 * timedelta(minutes=5)
    rows("UPDATE window_counts SET observed = 90 WHERE window_start = %s", spike)
    outcome = judge()
    assert (outcome.judged, outcome.endpoint_calls) == (12 + 3, 2)
    ((day, level, text),) = rows("SELECT day, level, tails FROM series_statistics")
    assert (day, level) == (at("00:00").date(), 20)
    above = tails_from_json(json.loads(text))[0, 0, 1]
    assert above == pytest.approx(2 * (90.375**0.5 - 20.375**0.5), abs=1e-3)
    verdicts = {start: verdict for start, _, _, verdict in rows(VERDICTS)}
    assert {start for start, verdict in verdicts.items() if verdict == "high"} == {spike}


def test_statistics_are_drawn_once_a_day(
    judge: Judge, counted: Counted, released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", [20] * 290, first=at("00:00") - timedelta(days=1), live_from=at("00:00"))
    judge(now=at("00:07"))
    rows("UPDATE series_statistics SET level = 12345")
    judge()
    assert rows("SELECT level FROM series_statistics") == [(12345,)]
    assert rows("SELECT COUNT(*) FROM predictions") == [(2,)]

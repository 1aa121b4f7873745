from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.connections import Connection

from tests.vigil.detection.doubles import BAND, NOW, at, calibration_of
from vigil.bands import Band
from vigil.calibration import Calibration, SeriesWindows, judge_windows
from vigil.detection.expectations.rules import RarityRule, StandardDeviationsRule, distances_of, normal_rarity
from vigil.detection.verdicts import Count, Verdict
from vigil.errors import DataError
from vigil.released_models import ReleasedModel
from vigil.series_statistics import SeriesStatistics
from vigil.windows import WINDOW, window_number

Counted = Callable[..., None]
Rows = Callable[..., list[tuple[Any, ...]]]
Judge = Callable[..., list[Verdict]]
ONE_A_MONTH = RarityRule(1.0)


def model(band: Band | Calibration | None = BAND, version: str = "event-counts/1") -> ReleasedModel:
    unused = {field.name for field in fields(ReleasedModel)} - {"model_version", "band"}
    return ReleasedModel(model_version=version, band=band, **dict.fromkeys(unused))


@pytest.fixture
def judge(connection: Connection[Any]) -> Judge:
    def run(
        rule: RarityRule | StandardDeviationsRule,
        counts: Sequence[tuple[str, datetime, int]],
        expected: float | Sequence[float] = 20.0,
        models: Sequence[ReleasedModel] | None = None,
    ) -> list[Verdict]:
        connection.commit()
        with connection.cursor() as cursor:
            return rule.judge(
                cursor,
                [Count(series, start, observed, 1) for series, start, observed in counts],
                np.broadcast_to(np.array(expected, dtype=float), (len(counts),)).copy(),
                models or [model()] * len(counts),
            )

    return run


def tails(level: float, expectation: float) -> str:
    values = np.full((2, 5, 2), 1e6)
    values[0], values[1] = expectation, level
    return json.dumps(SeriesStatistics(0.0, values).tails_to_json())


def sides(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.verdict for verdict in verdicts]


def test_a_window_without_statistics_is_judged_by_the_calibration(judge: Judge, counted: Counted) -> None:
    counted("orders", [20, 40, 20, 3], first=at("12:00"), live_from=NOW)
    windows = [("orders", at("12:00") + place * WINDOW, count) for place, count in enumerate([20, 40, 20, 3])]
    verdicts = judge(ONE_A_MONTH, windows)
    assert sides(verdicts) == ["normal", "high", "normal", "low"]
    assert [verdict.score > 0 for verdict in verdicts] == [True, True, True, False]
    assert [verdict.extrapolated for verdict in verdicts] == [False, True, False, True]
    # The bounds of 20 expected events are 8.7 and 35.8.
    assert [verdict.usual for verdict in verdicts] == [None, 36, None, 9]


def test_verdicts_come_in_the_order_of_the_windows_that_were_asked_for(
    judge: Judge, counted: Counted
) -> None:
    windows = []
    for number, series in enumerate(["b", "a", "ü"]):
        counted(series, [20 + number] * 5, first=at("12:00"), live_from=NOW)
        windows += [(series, at("12:00") + place * WINDOW, 20 + number) for place in (4, 0, 2)]
    shuffled = [windows[place] for place in np.random.default_rng(1).permutation(len(windows))]
    expected = np.linspace(20, 25, len(shuffled))
    verdicts = judge(ONE_A_MONTH, shuffled, expected)
    assert [(v.series, v.window_start, v.observed) for v in verdicts] == shuffled
    assert [v.expected for v in verdicts] == expected.tolist()


def test_each_window_is_judged_by_the_version_that_answered_for_it(judge: Judge, counted: Counted) -> None:
    counted("orders", [60] * 6, first=at("12:00"), live_from=NOW)
    windows = [("orders", at("12:00") + place * WINDOW, 60) for place in range(6)]
    wide = model(calibration_of(reach=99.0), "event-counts/2")
    models = [model(), wide, wide, model(), wide, model()]
    verdicts = judge(ONE_A_MONTH, windows, models=models)
    assert sides(verdicts) == ["high", "normal", "normal", "high", "normal", "high"]
    assert [verdict.model_version for verdict in verdicts] == [own.model_version for own in models]


def test_what_was_expected_of_the_windows_before_counts_whichever_version_said_it(
    judge: Judge, counted: Counted, rows: Rows
) -> None:
    """A window's spans reach over windows that others judged, and over those judged with it."""
    observed = np.random.default_rng(2).poisson(20, 160)
    counted("orders", observed.tolist(), first=at("00:00") - 16 * WINDOW, live_from=NOW)
    rows("UPDATE window_counts SET expected = 21 WHERE window_start < %s", at("10:00"))
    rows("UPDATE window_counts SET expected = 1000 WHERE window_start >= %s", at("10:00"))
    rows("DELETE FROM window_counts WHERE window_start = %s", at("09:00"))
    spans = replace(BAND, default_tails=np.full((2, 5, 2), 1.5))
    first = window_number(at("00:00")) - 16
    asked = [place for place in range(160) if place >= window_number(at("10:00")) - first]
    windows = [
        ("orders", at("10:00") + place * WINDOW, int(observed[asked[place]])) for place in range(len(asked))
    ]
    models = [model(spans, f"event-counts/{1 + place % 2}") for place in range(len(asked))]
    verdicts = judge(ONE_A_MONTH, windows, 22.0, models)
    due = np.full(160, 21.0)
    due[asked] = 22.0
    seen = observed.astype(float)
    seen[window_number(at("09:00")) - first] = np.nan
    judgement = judge_windows(
        spans,
        SeriesWindows("orders", first, seen, due),
        np.full(160, np.nan),
        np.full((len(asked), 2, 5, 2), np.nan),
        np.array(asked),
    )
    assert [verdict.score for verdict in verdicts] == pytest.approx(judgement.windows.tolist(), rel=1e-9)


def test_the_newest_statistics_that_are_not_of_a_later_day_are_taken(
    judge: Judge, counted: Counted, rows: Rows
) -> None:
    counted("orders", [40] * 600, first=at("00:00") - timedelta(days=1), live_from=NOW)
    window = [("orders", at("11:00"), 40)]
    keep = "INSERT INTO series_statistics VALUES ('orders', %s, 40, %s)"
    rows(keep, date(2026, 3, 5), tails(1e6, 0.001))
    assert sides(judge(ONE_A_MONTH, window)) == ["high"]
    rows(keep, date(2026, 1, 1), tails(1e6, 1e5))
    assert sides(judge(ONE_A_MONTH, window)) == ["high"], "they are older than the calibration"
    rows(keep, date(2026, 2, 20), tails(1e6, 1e5))
    assert sides(judge(ONE_A_MONTH, window)) == ["normal"]
    rows(keep, date(2026, 3, 3), tails(1e6, 1.5))
    assert sides(judge(ONE_A_MONTH, window)) == ["high"]
    rows(keep, date(2026, 3, 4), tails(1e6, 1e5))
    assert sides(judge(ONE_A_MONTH, window)) == ["normal"]
    rows("INSERT INTO series_statistics VALUES ('Orders', '2026-03-04', 40, %s)", tails(1e6, 1e-3))
    assert sides(judge(ONE_A_MONTH, window)) == ["normal"]


def test_windows_on_both_sides_of_midnight_are_judged_by_statistics_of_their_own_days(
    judge: Judge, counted: Counted, rows: Rows
) -> None:
    counted("orders", [40] * 4, first=at("00:00") - 2 * WINDOW, live_from=NOW)
    rows("INSERT INTO series_statistics VALUES ('orders', '2026-03-03', 40, %s)", tails(1e6, 1e5))
    rows("INSERT INTO series_statistics VALUES ('orders', '2026-03-04', 40, %s)", tails(1e6, 1.5))
    windows = [("orders", at("00:00") + place * WINDOW, 40) for place in (-2, -1, 0, 1)]
    assert sides(judge(ONE_A_MONTH, windows)) == ["normal", "normal", "high", "high"]


def test_a_series_far_below_its_level_is_low_though_the_model_follows_it(
    judge: Judge, counted: Counted, rows: Rows
) -> None:
    counted("orders", [5] * 150, first=at("00:00"), live_from=NOW)
    rows("UPDATE window_counts SET expected = 12")
    window = [("orders", at("12:00"), 5)]
    before = judge(ONE_A_MONTH, window, 12.0)[0]
    rows("INSERT INTO series_statistics VALUES ('orders', '2026-03-04', 100, %s)", tails(1.5, 2.0))
    after = judge(ONE_A_MONTH, window, 12.0)[0]
    assert before.score < 0
    assert after.score < before.score
    assert after.verdict == "low"


def test_a_threshold_of_fewer_false_incidents_calls_fewer_windows_anomalous(
    judge: Judge, counted: Counted
) -> None:
    counts = [36, 40, 50, 70, 120, 400]
    counted("orders", counts, first=at("12:00"), live_from=NOW)
    windows = [("orders", at("12:00") + place * WINDOW, count) for place, count in enumerate(counts)]
    anomalous = [
        sum(verdict.is_anomalous for verdict in judge(RarityRule(rate), windows))
        for rate in (300, 1, 0.1, 0.01, 1e-9)
    ]
    assert anomalous == sorted(anomalous, reverse=True)
    assert anomalous[0] == anomalous[1] == 6
    assert anomalous[-1] < 6


@pytest.mark.parametrize("band", [None, Band(0.9, 1.0, 1.0)])
def test_a_model_without_calibration_cannot_judge_windows(
    judge: Judge, counted: Counted, band: Band | None
) -> None:
    counted("orders", [20], first=at("12:00"), live_from=NOW)
    with pytest.raises(DataError, match=r"event-counts/1 has no calibration.*trigger retrain_weekly"):
        judge(ONE_A_MONTH, [("orders", at("12:00"), 20)], models=[model(band)])


def weeks_of(counts: Sequence[int], now: int) -> tuple[list[int], datetime]:
    """Return counts from so many weeks ago on, one in each week at 12:00, and `now` at 12:00 of this week."""
    windows = [0] * (len(counts) * 2_016) + [now]
    for week, count in enumerate(counts):
        windows[week * 2_016] = count
    return windows, at("12:00") - len(counts) * timedelta(weeks=1)


@pytest.mark.parametrize(
    ("before", "observed", "verdict"),
    [
        ((10, 20, 30), 20, "normal"),
        # The standard deviation is the root of 200/3, 8.16; three of them above 20 are 44.5.
        ((10, 20, 30), 44, "normal"),
        ((10, 20, 30), 45, "high"),
        ((90, 20, 10, 20, 30), 45, "normal"),
        # Without any spread, one event is taken for it.
        ((20, 20, 20), 23, "normal"),
        ((20, 20, 20), 24, "high"),
        ((20, 20, 20), 16, "low"),
        # Two weeks are too few.
        ((20, 20), 4_000, "normal"),
    ],
)
def test_standard_deviations_of_the_same_weekday_and_time(
    judge: Judge, counted: Counted, before: tuple[int, ...], observed: int, verdict: str
) -> None:
    counts, first = weeks_of(before, observed)
    counted("orders", counts, first=first, live_from=NOW)
    told = judge(StandardDeviationsRule(3, 8), [("orders", at("12:00"), observed)])
    assert sides(told) == [verdict]
    assert told[0].lower < told[0].expected < told[0].upper
    assert np.isfinite(told[0].score)


def test_standard_deviations_take_past_anomalies_as_far_as_they_were_usual_and_no_more_weeks_than_asked(
    judge: Judge, counted: Counted, rows: Rows
) -> None:
    counts, first = weeks_of((9_000, 20, 5_000, 20, 20), 40)
    counted("orders", counts, first=first, live_from=NOW)
    window = [("orders", at("12:00"), 40)]
    assert sides(judge(StandardDeviationsRule(3, 4), window)) == ["normal"]
    rows("UPDATE window_counts SET usual = 21 WHERE observed = 5000")
    assert sides(judge(StandardDeviationsRule(3, 4), window)) == ["high"]
    assert sides(judge(StandardDeviationsRule(3, 5), window)) == ["normal"]


def test_distances_leave_unknown_weeks_out() -> None:
    before = np.array([[10.0, np.nan, 20.0, 30.0], [np.nan, np.nan, 20.0, 30.0], [np.nan] * 4])
    distances, spreads = distances_of(np.full(3, 40.0), np.full(3, 20.0), before)
    assert spreads == pytest.approx([math.sqrt(200 / 3), 5, 1])
    assert distances == pytest.approx([20 / math.sqrt(200 / 3), 0, 0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_more_standard_deviations_are_rarer_to_either_side_and_finite(distances: list[float]) -> None:
    values = np.array(sorted(distances, key=abs))
    rare = normal_rarity(values)
    assert np.isfinite(rare).all()
    assert (np.diff(np.abs(rare)) >= 0).all()
    assert (np.sign(rare[values != 0]) == np.sign(values[values != 0])).all()


def test_one_window_in_so_many_of_a_normal_distribution_lies_so_far_off() -> None:
    assert normal_rarity(np.array([0.0, 1.0, -2.0, 3.0])) == pytest.approx(
        [1, 3.151, -21.98, 370.4], rel=1e-3
    )


@pytest.mark.parametrize("rule", [RarityRule(1.0), StandardDeviationsRule(3, 8)])
def test_the_threshold_of_a_rule_is_the_rarity_at_which_windows_become_anomalous(
    judge: Judge, counted: Counted, rule: RarityRule | StandardDeviationsRule
) -> None:
    observed = [20, 28, 29, 30, 33, 35, 36, 37, 45]
    counted("orders", [20] * (3 * 2_016), first=at("12:00") - timedelta(weeks=3), live_from=NOW)
    counted("orders", observed, first=at("12:00"), live_from=NOW)
    windows = [("orders", at("12:00") + place * WINDOW, count) for place, count in enumerate(observed)]
    threshold = rule.threshold(model())
    for verdict in judge(rule, windows):
        assert verdict.is_anomalous == (abs(verdict.score) >= threshold)

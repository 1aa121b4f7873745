from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.vigil.health.released import BAD, GOOD, PROMISED, released
from vigil.health.figures import Figures
from vigil.health.judging import judge_day
from vigil.health.promise import promise_of
from vigil.health_limits import HealthLimits

LIMITS = HealthLimits()
PROMISE = promise_of(released())


def misses(figures: Figures, metrics: dict[str, Any] = PROMISED, series: str = "") -> list[str]:
    return [miss.text for miss in judge_day(figures, promise_of(released(metrics)), LIMITS, series).misses]


def test_a_day_as_promised_is_inside() -> None:
    assert judge_day(GOOD, PROMISE, LIMITS).state == "inside"


def test_each_limit_is_missed_just_beyond_it() -> None:
    # Promised are WAPE 0.2, a bias of 0.4 in 20 events, and a coverage of 99%.
    at_the_limit = Figures(300, 291, 1000, 300.0, -220.0)
    assert misses(at_the_limit) == []
    assert misses(replace(at_the_limit, inside=290)) == ["coverage 96.7% (at least 97.0%)"]
    assert misses(replace(at_the_limit, absolute_error=301.0)) == ["WAPE 0.301 (at most 0.300)"]
    assert misses(replace(at_the_limit, error=-221.0)) == [
        "bias -22.1% of the events (at most 22.0% either way)"
    ]


def test_the_worst_miss_says_how_many_times_too_far_it_is() -> None:
    judged = judge_day(BAD, PROMISE, LIMITS)
    assert judged.state == "outside"
    assert judged.times == pytest.approx(0.3 / 0.22)
    assert judged.text.count(",") == 1


def test_a_day_of_few_windows_says_nothing_and_one_of_few_events_tells_the_coverage_alone() -> None:
    assert judge_day(None, PROMISE, LIMITS).state == "unknown"
    assert judge_day(replace(BAD, windows=143, inside=0), PROMISE, LIMITS).state == "unknown"
    quiet = replace(BAD, observed=199)
    assert judge_day(quiet, PROMISE, LIMITS).state == "inside"
    assert misses(replace(quiet, inside=200)) == ["coverage 69.4% (at least 97.0%)"]
    assert misses(Figures(288, 0, 0, 0.0, 0.0)) == ["coverage 0.0% (at least 97.0%)"]


def test_a_series_is_held_to_its_own_promise() -> None:
    metrics = {**PROMISED, "by_series": {"orders": {"wape": 0.1}, "errors": {"wape": None}}}
    day = Figures(200, 200, 4000, 1000.0, 0.0)
    assert misses(day, metrics) == []
    assert misses(day, metrics, "orders") == ["WAPE 0.250 (at most 0.150)"]
    assert misses(day, metrics, "errors") == []


def test_a_series_that_is_rarer_than_most_may_scatter_more_where_nothing_was_promised_of_it() -> None:
    # On average a window of the evaluation had 20 events; one of 5 scatters twice as much, as a share.
    assert PROMISE.wape_of("new", 5.0) == pytest.approx(0.4)
    assert PROMISE.wape_of("new", 500.0) == 0.2
    assert PROMISE.wape_of("", 5.0) == 0.2


def test_what_was_not_promised_is_not_asked_for() -> None:
    none: dict[str, Any] = dict.fromkeys(PROMISED)
    assert misses(replace(BAD, error=0.0, inside=288), none) == []
    # Without a measured coverage the band's own is the promise, and without a bias none.
    assert misses(replace(BAD, inside=281), none) == [
        "coverage 97.6% (at least 97.9%)",
        "bias +30.0% of the events (at most 20.0% either way)",
    ]
    assert misses(replace(BAD, error=0.0), {}) == ["coverage 97.2% (at least 97.9%)"]
    assert promise_of(released({}, band=None)).coverage is None


def test_figures_add_up() -> None:
    both = GOOD + BAD
    assert (both.windows, both.inside, both.wape, both.bias_share) == (576, 567, 0.3, 0.16)
    assert both.coverage == 567 / 576

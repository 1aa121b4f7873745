"""Time and money: what a limit allows, and when the schedule comes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vigil.stacks.test_config import parse
from vigil.errors import SettingsError
from vigil.stacks.config import TrainingStackConfig
from vigil.stacks.deadline import allowance, cost_usd, schedule_minute
from vigil.stacks.pricing import HourlyPrice

PRICE = HourlyPrice(0.9, 0.1, "a test")
NOW = datetime(2026, 11, 21, 12, 0, 30)


def config(method: str, **changes: Any) -> TrainingStackConfig:
    return parse(termination_method=method, **changes)


def test_a_cost_limit_lasts_as_long_as_instance_and_volume_cost_less_from_the_launch_on() -> None:
    allowed = allowance(config("around-cost-threshold", termination_options={"cost-limit": 2}), PRICE)
    assert allowed.seconds == 2 * 3600
    assert allowed.limited_by == "cost-limit"
    assert allowed.is_asked_for
    assert allowed.estimate_usd(PRICE) == pytest.approx(2)


def test_a_time_limit_is_in_hours_with_decimals() -> None:
    allowed = allowance(config("at-fixed-time", termination_options={"time-limit": 0.25}), PRICE)
    assert (allowed.seconds, allowed.limited_by) == (900, "time-limit")


def test_on_complete_has_a_hard_maximum_which_is_not_asked_for() -> None:
    allowed = allowance(config("on-complete", maximum_hours=3), PRICE)
    assert (allowed.seconds, allowed.limited_by, allowed.is_asked_for) == (3 * 3600, "maximum-hours", False)


def test_a_cost_limit_that_lasts_longer_than_the_hard_maximum_is_cut_by_it() -> None:
    allowed = allowance(config("around-cost-threshold"), PRICE)
    assert (allowed.seconds, allowed.limited_by) == (24 * 3600, "maximum-hours")


def test_a_limit_that_ends_before_a_script_could_is_refused_with_the_way_out() -> None:
    with pytest.raises(SettingsError, match=r"cost-limit leaves 36 s .* raise cost-limit, or lower grace"):
        allowance(config("around-cost-threshold", termination_options={"cost-limit": 0.01}), PRICE)


@pytest.mark.parametrize(("seconds", "warns"), [(400, True), (500, False)])
def test_a_limit_that_may_end_a_script_as_it_begins_is_warned_of(
    caplog: pytest.LogCaptureFixture, seconds: int, warns: bool
) -> None:
    allowance(config("at-fixed-time", termination_options={"time-limit": seconds / 3600}), PRICE)
    assert ("may be asked to end as it begins" in caplog.text) is warns


@given(
    limit=st.floats(0.1, 1000),
    instance=st.floats(0.005, 100),
    volume=st.floats(0.001, 5),
)
def test_what_is_allowed_never_costs_more_than_the_limit(
    limit: float, instance: float, volume: float
) -> None:
    price = HourlyPrice(instance, volume, "a test")
    said = config("around-cost-threshold", termination_options={"cost-limit": limit}, grace_seconds=1)
    try:
        allowed = allowance(said, price)
    except SettingsError:
        assert limit / price.usd * 3600 < 2
        return
    assert allowed.seconds <= 24 * 3600
    assert price.usd * allowed.seconds / 3600 <= limit * (1 + 1e-9)


def test_a_moment_costs_a_minute() -> None:
    assert cost_usd(PRICE, 3) == pytest.approx(1 / 60)


def test_the_schedule_is_set_to_the_last_full_minute_before_the_deadline() -> None:
    deadline = datetime(2026, 11, 21, 13, 7, 59)
    assert schedule_minute(deadline, NOW) == datetime(2026, 11, 21, 13, 7)


@given(st.integers(1, 600), st.integers(0, 59))
def test_a_schedule_lies_ahead_and_comes_at_most_two_minutes_late_for_a_run_of_a_moment(
    lasts_s: int, second: int
) -> None:
    now = NOW.replace(second=second)
    deadline = now + timedelta(seconds=lasts_s)
    minute = schedule_minute(deadline, now)
    assert minute > now
    if lasts_s > 180:
        assert deadline - timedelta(minutes=1) < minute <= deadline
    else:
        assert minute <= now + timedelta(minutes=2) or minute <= deadline

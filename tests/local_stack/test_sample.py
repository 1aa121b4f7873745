from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from local_stack.demo.plan import Plan
from local_stack.demo.sample import PICTURED, load_sample
from vigil.windows import WINDOW, window_of

SAMPLE = load_sample(datetime(2026, 11, 21))
moments = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2036, 1, 1))


@settings(max_examples=5, deadline=None)
@given(moments)
def test_the_series_end_last_week_with_weekday_and_hour_kept(now: datetime) -> None:
    sample = load_sample(now)
    monday = datetime.combine(now.date() - timedelta(days=now.weekday()), datetime.min.time())
    assert monday - timedelta(weeks=1) <= sample.ends <= monday
    assert sample.shift == timedelta(weeks=sample.shift_weeks)
    # The last row reads 2015-04-23 02:47:53, a Thursday.
    assert (sample.ends - WINDOW).strftime("%a %H:%M") == "Thu 02:45"


def test_all_events_are_there_and_three_labels_reach_into_what_is_held_back() -> None:
    sample = SAMPLE
    assert sample.events == 2_015_149
    assert len(sample.series) == 6
    assert len(sample.labels) == 21
    held_back = [label.series for label in sample.held_back_labels()]
    assert sorted(held_back) == ["Twitter_volume_CVS", PICTURED, PICTURED]
    days = sample.held_back_days()
    assert days[0] == sample.held_back_from
    assert days[-1] < sample.ends <= days[-1] + timedelta(days=1)


def test_labels_are_floored_to_the_grid() -> None:
    for label in SAMPLE.labels:
        assert label.first == window_of(label.first)
        assert label.last == window_of(label.last)


@given(moments)
def test_the_live_part_begins_with_the_demo_and_closes_within_its_five_minutes(now: datetime) -> None:
    plan = Plan.beginning_at(SAMPLE, now)
    assert plan.live_from == window_of(plan.live_from) <= now
    closes = plan.spike[1] + timedelta(seconds=10)
    assert closes - now <= timedelta(minutes=3, seconds=10)

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vigil.detection.doubles import NOW, at
from vigil.detection.events import Events, microseconds_of
from vigil.detection.pipeline import SimulatorOptions
from vigil.detection.sources.simulator import Simulator, usual_rate
from vigil.windows import WINDOW, window_number, window_of


def simulator(**changes: Any) -> Simulator:
    options = {
        "kind": "simulator",
        "name": "shop",
        "seed": 3,
        "history_days": 1,
        "series": [{"name": "orders", "base_rate": 20}, {"name": "clicks", "base_rate": 5}],
        **changes,
    }
    return Simulator(SimulatorOptions.model_validate(options))


def everything(source: Simulator, *moments: datetime) -> list[tuple[str, int, str]]:
    """Return every event when asked at these moments, each until nothing more waits."""
    rows: list[tuple[str, int, str]] = []
    position = None
    for now in moments:
        more = True
        while more:
            batch = source.take(position, now)
            rows += batch.events.rows()
            position, more = batch.position, batch.more
    return sorted(rows)


@settings(max_examples=20)
@given(st.lists(st.timedeltas(timedelta(0), timedelta(minutes=40)), min_size=1, max_size=5))
def test_the_same_events_come_however_often_one_asks(pauses: list[timedelta]) -> None:
    moments = [NOW]
    for pause in pauses:
        moments.append(moments[-1] + pause)
    source = simulator(starts_at="2026-03-04T09:00:00Z", history_days=None)
    asked_often = everything(source, *moments)
    asked_once = everything(source, moments[-1])
    assert asked_often == asked_once
    assert len(set(asked_once)) == len(asked_once)
    assert all(occurred < microseconds_of(moments[-1]) for _, occurred, _ in asked_once)


def test_another_seed_makes_other_events() -> None:
    assert everything(simulator(), NOW) != everything(simulator(seed=4), NOW)


def test_the_history_begins_so_long_ago_and_the_live_part_with_the_present_window() -> None:
    batch = simulator().take(None, NOW)
    state = batch.series["orders"]
    assert state.first_window == window_of(NOW - timedelta(days=1))
    assert state.live_from == window_of(NOW)
    assert not batch.more
    assert state.watermark == NOW


def test_history_comes_in_batches_whose_watermark_follows_them() -> None:
    source = simulator(series=[{"name": "orders", "base_rate": 10_000}], history_days=0.1)
    batch = source.take(None, NOW)
    assert batch.more
    assert batch.series["orders"].watermark == window_of(NOW - timedelta(days=0.1)) + 5 * WINDOW
    assert len(everything(source, NOW)) > 200_000


@pytest.mark.parametrize("hour", range(24))
def test_it_never_stalls_at_any_hour(hour: int) -> None:
    now = datetime(2026, 3, 4, hour)
    source = simulator(history_days=0)
    first = source.take(None, now)
    later = source.take(first.position, now + timedelta(minutes=30))
    assert later.series["orders"].watermark == now + timedelta(minutes=30)
    assert len(later.events) > 0


def test_a_clock_that_went_back_gives_nothing_twice() -> None:
    source = simulator()
    first = source.take(None, NOW)
    back = source.take(first.position, NOW - timedelta(minutes=20))
    assert len(back.events) == 0
    assert back.position == first.position
    assert back.series["orders"].watermark == NOW


def test_the_rate_peaks_at_its_hour_and_rests_at_the_weekend() -> None:
    (series, *_) = simulator(
        series=[{"name": "orders", "base_rate": 100, "peak_hour": 15, "daily_swing": 0.5, "weekend": 0.4}]
    ).options.series
    at_peak, at_night = (window_number(datetime(2026, 3, 4, hour)) for hour in (15, 3))
    assert usual_rate(series, at_peak) == pytest.approx(150)
    assert usual_rate(series, at_night) == pytest.approx(50)
    assert usual_rate(series, window_number(datetime(2026, 3, 7, 15))) == pytest.approx(60)
    assert usual_rate(series, window_number(datetime(2026, 3, 9, 15))) == pytest.approx(150)


def anomalous(kind: str, **more: Any) -> Simulator:
    anomaly = {
        "series": "orders",
        "kind": kind,
        "from": "2026-03-04T10:00:00Z",
        "to": "2026-03-04T11:00:00Z",
        **more,
    }
    return simulator(anomalies=[anomaly])


def share(source: Simulator, start: datetime, end: datetime, series: str = "orders") -> float:
    """Return how many events there are in a period, compared with the undisturbed source."""

    def count(rows: list[tuple[str, int, str]]) -> int:
        low, high = microseconds_of(start), microseconds_of(end)
        return sum(name == series and low <= occurred < high for name, occurred, _ in rows)

    return count(everything(source, NOW)) / count(everything(simulator(), NOW))


def test_a_spike_multiplies_the_rate_and_touches_nothing_else() -> None:
    source = anomalous("spike", factor=4)
    assert share(source, at("10:00"), at("11:00")) == pytest.approx(4, rel=0.2)
    assert share(source, at("11:00"), at("12:00")) == 1
    assert share(source, at("10:00"), at("11:00"), "clicks") == 1


def test_a_drop_thins_the_events_out() -> None:
    assert share(anomalous("drop", factor=0.3), at("10:00"), at("11:00")) == pytest.approx(0.3, rel=0.3)


def test_an_outage_leaves_nothing_but_the_watermark_goes_on() -> None:
    source = anomalous("outage")
    assert share(source, at("10:00"), at("11:00")) == 0
    assert share(source, at("09:00"), at("10:00")) == 1
    assert source.take(None, at("10:30")).series["orders"].watermark == at("10:30")


def test_an_anomaly_put_in_while_its_window_is_under_way_doubles_no_event() -> None:
    first = simulator().take(None, at("10:02"))
    then = anomalous("spike", factor=4).take(first.position, at("10:05"))
    rows = first.events.rows() + then.events.rows()
    assert len(set(rows)) == len(rows)
    assert len(then.events) > len(simulator().take(first.position, at("10:05")).events)


def test_columns_of_a_source_without_events_are_empty() -> None:
    events = Events.joined(("a",), [])
    assert (len(events), events.rows(), events.windows()) == (0, [], [])

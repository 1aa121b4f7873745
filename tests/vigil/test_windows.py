from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.windows import (
    WINDOW,
    is_closed,
    midnight,
    slug,
    to_utc,
    window_at,
    window_number,
    window_of,
    windows_between,
)

instants = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1))


@given(instants)
def test_every_instant_lies_in_exactly_its_window(instant: datetime) -> None:
    start = window_of(instant)
    assert start <= instant < start + WINDOW
    assert window_of(start) == start
    assert window_of(start + WINDOW - timedelta.resolution) == start
    assert window_of(start - timedelta.resolution) == start - WINDOW


@given(instants)
def test_every_instant_lies_in_exactly_its_day(instant: datetime) -> None:
    start = midnight(instant)
    assert start <= instant < start + timedelta(days=1)
    assert midnight(start) == start
    assert window_of(start) == start


@given(instants)
def test_windows_are_aligned_to_the_epoch_and_numbered_from_it(instant: datetime) -> None:
    start = window_of(instant)
    assert (start - datetime(1970, 1, 1)).total_seconds() % 300 == 0
    assert window_at(window_number(start)) == start


@given(instants, st.integers(0, 50))
def test_windows_between_two_starts_follow_one_another_without_a_gap(instant: datetime, count: int) -> None:
    first = window_of(instant)
    starts = list(windows_between(first, first + count * WINDOW))
    assert starts == [first + place * WINDOW for place in range(count)]


@given(
    instants, st.timedeltas(timedelta(0), timedelta(hours=1)), st.timedeltas(timedelta(0), timedelta(hours=1))
)
def test_a_window_is_closed_at_its_end_by_the_watermark_and_after_the_lateness_by_the_clock(
    instant: datetime, behind: timedelta, lateness: timedelta
) -> None:
    start = window_of(instant)
    end = start + WINDOW
    assert is_closed(start, end, end + lateness, lateness)
    assert is_closed(start, end + behind, end + lateness + behind, lateness)
    assert not is_closed(start, end - timedelta.resolution, end + lateness, lateness)
    assert not is_closed(start, end, end + lateness - timedelta.resolution, lateness)


def test_a_time_with_a_zone_becomes_utc_and_one_without_is_refused() -> None:
    noon = datetime(2026, 3, 29, 12, tzinfo=timezone(timedelta(hours=2)))
    assert to_utc(noon) == datetime(2026, 3, 29, 10)
    assert to_utc(noon.astimezone(UTC)) == datetime(2026, 3, 29, 10)
    with pytest.raises(ValueError, match="carries no time zone"):
        to_utc(datetime(2026, 3, 29, 12))


def test_a_slug_holds_no_slash_and_names_the_minute() -> None:
    assert slug(datetime(2026, 1, 2, 3, 5)) == "20260102T0305Z"

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.detection.events import Events, instant_of, is_series_name, microseconds_of
from vigil.windows import window_of

instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))
event_rows = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), instants, st.text("xyz", min_size=1, max_size=3)), max_size=20
)


@given(instants)
def test_a_time_survives_as_microseconds(instant: datetime) -> None:
    assert instant_of(microseconds_of(instant)) == instant


@given(event_rows)
def test_columns_hold_the_rows_they_were_made_of(rows: list[tuple[str, datetime, str]]) -> None:
    events = Events.of(rows)
    assert events.rows() == sorted((name, microseconds_of(at), event_id) for name, at, event_id in rows)
    assert events.windows() == sorted({(name, window_of(at)) for name, at, _ in rows})


@given(event_rows)
def test_a_selection_keeps_what_was_wanted(rows: list[tuple[str, datetime, str]]) -> None:
    wanted = np.array([name != "b" for name, _, _ in rows], dtype=bool)
    assert Events.of(rows).where(wanted).rows() == Events.of([row for row in rows if row[0] != "b"]).rows()


@pytest.mark.parametrize("name", ["", "a/b", "ä", " a", "a ", "-a", "x" * 65, None, 7, "a\n"])
def test_a_name_that_no_identity_can_carry_is_no_series(name: object) -> None:
    assert not is_series_name(name)


@pytest.mark.parametrize("name", ["orders", "0", "shop.orders_eu-west", "x" * 64])
def test_a_plain_name_is_a_series(name: str) -> None:
    assert is_series_name(name)

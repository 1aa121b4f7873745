from __future__ import annotations

import math
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.training.tabular.cells import (
    MISSING,
    cleaned,
    is_infinite,
    read_numbers,
    read_times,
    why_no_number,
)

number_like = st.text("+-.eE0123456789", min_size=1, max_size=8)


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


@pytest.mark.parametrize("text", [*MISSING, "  ", " NA\t"])
def test_what_counts_as_missing(text: str) -> None:
    assert cleaned(texts(text)).to_pylist() == [None]


@pytest.mark.parametrize("text", ["None", "-", "0", "na", "missing"])
def test_what_does_not_count_as_missing(text: str) -> None:
    assert cleaned(texts(f" {text} ")).to_pylist() == [text]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself_and_is_written_so_that_it_does(number: float) -> None:
    numbers, wrong = read_numbers(texts(repr(number)))
    assert not len(wrong)
    assert numbers.to_pylist() == [number]
    assert float(pc.cast(numbers, pa.string())[0].as_py()) == number


@given(st.lists(number_like, max_size=5))
def test_a_column_with_a_wrong_value_reads_the_others_as_a_column_without_it_does(values: list[str]) -> None:
    alone = [read_numbers(texts(value))[0][0].as_py() for value in values]
    together, wrong = read_numbers(texts(*values, "no number", None))
    assert together.to_pylist() == [*alone, None, None]
    assert wrong.tolist() == [*(place for place, value in enumerate(alone) if value is None), len(values)]


@pytest.mark.parametrize("text", ["inf", "-Infinity", "1e999", "-nan", "NAN"])
def test_a_number_that_is_not_finite_is_told_from_text(text: str) -> None:
    numbers, wrong = read_numbers(texts("1", text))
    assert (numbers.to_pylist(), wrong.tolist()) == ([1, None], [1])
    assert is_infinite(text)
    assert why_no_number(text) == f"{text!r} is no finite number"


@pytest.mark.parametrize("text", ["abc", "1,5", "0x10", "1_000", "--1", "٣", "1 2"])
def test_text_is_no_number(text: str) -> None:
    assert read_numbers(texts(text))[1].tolist() == [0]
    assert not is_infinite(text)
    assert why_no_number(text).endswith("is no number")


@given(st.lists(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), min_size=1, max_size=5))
def test_times_are_microseconds_since_the_epoch_whatever_their_form(times: list[datetime]) -> None:
    expected = [
        math.floor(time.timestamp()) * 1_000_000 + time.microsecond
        for time in (time.replace(tzinfo=UTC) for time in times)
    ]
    forms = (
        [time.isoformat() for time in times],
        [time.isoformat(" ") + "Z" for time in times],
        [time.isoformat() + ("" if place % 2 else "+00:00") for place, time in enumerate([*times, times[0]])],
    )
    for form in forms:
        read, wrong = read_times(texts(*form))
        assert read.to_pylist()[: len(times)] == expected
        assert not len(wrong)


def test_a_zone_is_heeded() -> None:
    read, _ = read_times(texts("2026-01-05T02:00:00+02:00", "2026-01-05"))
    assert read[0] == read[1]


def test_what_is_no_time_is_found_among_times() -> None:
    read, wrong = read_times(texts("2026-01-05", "soon", None, "2026-13-01"))
    assert wrong.tolist() == [1, 3]
    assert read.is_null().to_pylist() == [False, True, True, True]

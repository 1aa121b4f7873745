from __future__ import annotations

import pytest

from tests.vigil.detection.doubles import at
from vigil.detection.incidents.mutes import Mute, mutes_of, reason_at


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [
        ("12:00", "12:05", True),
        ("12:04", "12:30", True),
        ("12:05", "12:30", False),
        ("11:00", "12:00", False),
        ("11:00", "12:00:01", True),
    ],
)
def test_a_window_that_lies_in_a_mute_in_part_lies_in_it(start: str, end: str, inside: bool) -> None:
    assert Mute("*", at(start), at(end), "works").touches(at("12:00")) is inside


def test_a_mute_without_an_end_goes_on() -> None:
    assert Mute("*", at("11:00"), None, "works").touches(at("23:00"))


def test_patterns_choose_series_by_their_whole_name_and_case() -> None:
    mutes = [
        Mute(pattern, at("11:00"), at("12:00"), pattern) for pattern in ("orders*", "ORDERS", "source:*")
    ]
    assert [mute.reason for mute in mutes_of("orders-eu", mutes)] == ["orders*"]
    assert [mute.reason for mute in mutes_of("source:shop", mutes)] == ["source:*"]
    assert mutes_of("re-orders", mutes) == []


def test_the_first_mute_gives_the_reason() -> None:
    mutes = [Mute("*", at("11:00"), at("13:00"), reason) for reason in ("first", "second")]
    assert reason_at(at("12:00"), mutes) == "first"
    assert reason_at(at("13:00"), mutes) is None

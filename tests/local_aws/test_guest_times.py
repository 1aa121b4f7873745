from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local_aws.ec2.guest.times import parse_shutdown_time, parse_span

NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5min", 300),
        ("1h 30min", 5400),
        ("1h30m", 5400),
        ("2 hours", 7200),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("1d", 86_400),
    ],
)
def test_time_spans_are_read_as_systemd_reads_them(text, seconds):
    assert parse_span(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "5 parsecs", "-1s", "1h and a half"])
def test_what_is_no_time_span_is_refused(text):
    with pytest.raises(ValueError, match="Failed to parse timer value"):
        parse_span(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 0),
        ("0", 0),
        ("+0", 0),
        ("+1", 60),
        ("5", 300),
        ("12:01", 30),
        ("12:00", 86_370),
        ("0:00", 43_170),
    ],
)
def test_shutdown_times_are_counted_from_now(text, seconds):
    assert parse_shutdown_time(text, NOON) == seconds


@pytest.mark.parametrize("text", ["later", "24:00", "12:60", "+", "-5", "1:2:3"])
def test_what_is_no_shutdown_time_is_refused(text):
    with pytest.raises(ValueError, match="Failed to parse time specification"):
        parse_shutdown_time(text, NOON)

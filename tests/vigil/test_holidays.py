from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from vigil import holidays as calendar
from vigil.errors import SettingsError

Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write the calendar, which a process reads once."""
    monkeypatch.setattr(calendar, "configs_dir", lambda: tmp_path)
    calendar.holidays.cache_clear()

    def put(text: str) -> None:
        (tmp_path / "holidays.yaml").write_text(text, encoding="utf-8")

    yield put
    calendar.holidays.cache_clear()


def test_without_a_calendar_no_day_is_a_holiday(write: Write) -> None:
    assert calendar.holidays() == frozenset()


def test_days_are_numbered_since_the_epoch(write: Write) -> None:
    write("1970-01-02: Early\n2026-12-25: Christmas Day\n2027-01-01:\n")
    christmas = (date(2026, 12, 25) - date(1970, 1, 1)).days
    assert calendar.holidays() == {1, christmas, christmas + 7}


@pytest.mark.parametrize("text", ["", "# none yet\n", "---\n"])
def test_an_empty_calendar_has_no_holidays(write: Write, text: str) -> None:
    write(text)
    assert calendar.holidays() == frozenset()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 2026-12-25\n", "must name days, one a line, as in 2026-12-25: Christmas Day"),
        ("[]\n", "must name days, one a line"),
        ("Christmas\n", "must name days"),
        ("Christmas: 2026-12-25\n", "names 'Christmas', which is no day: write it as 2026-12-25"),
        ("'2026-12-25': Christmas\n", "names '2026-12-25', which is no day"),
        ("2026-12-25 00:00:00: Christmas\n", "which is no day"),
        ("20261225: Christmas\n", "names 20261225, which is no day"),
        ("2026-02-30: Never\n", "names a day that does not exist"),
        ("2026-12-25: 'Christmas\n", "is no YAML"),
    ],
)
def test_what_is_no_calendar_is_refused_with_the_way_out(write: Write, text: str, message: str) -> None:
    write(text)
    with pytest.raises(SettingsError, match=message):
        calendar.holidays()

"""Five-minute windows on the epoch grid.

Every time in Vigil is a naive `datetime` in UTC: that is what `DATETIME` columns hold, and one convention
leaves nothing to convert. `to_utc` is the only door for times that carry a zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

WINDOW = timedelta(minutes=5)
WINDOW_SECONDS = 300
WINDOWS_PER_DAY = 288
WINDOWS_PER_WEEK = 2016

_EPOCH = datetime(1970, 1, 1)


def now() -> datetime:
    """Return the present time in UTC, with microseconds."""
    return datetime.now(UTC).replace(tzinfo=None)


def to_utc(instant: datetime) -> datetime:
    """Return a time that carries a zone as naive UTC.

    Raises:
        ValueError: the time carries no zone, so nobody can know what it means.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} carries no time zone")
    return instant.astimezone(UTC).replace(tzinfo=None)


def window_of(instant: datetime) -> datetime:
    """Return the start of the window `[start, start + 5 min)` that holds `instant`."""
    return instant - (instant - _EPOCH) % WINDOW


def midnight(instant: datetime) -> datetime:
    """Return the beginning of the day that holds `instant`."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def window_number(window_start: datetime) -> int:
    """Return how many windows lie between the epoch and `window_start`."""
    return (window_start - _EPOCH) // WINDOW


def window_at(number: int) -> datetime:
    """Return the start of the window with this number since the epoch."""
    return _EPOCH + number * WINDOW


def windows_between(first: datetime, end: datetime) -> Iterator[datetime]:
    """Yield every window start in `[first, end)`, `first` being a window start."""
    start = first
    while start < end:
        yield start
        start += WINDOW


def is_closed(
    window_start: datetime, watermark: datetime, now: datetime, allowed_lateness: timedelta
) -> bool:
    """Tell whether a window may be judged.

    It may when the source has told all of it (it ends at or below the watermark) and its end plus the
    allowed lateness has passed.
    """
    end = window_start + WINDOW
    return end <= watermark and end + allowed_lateness <= now


def slug(window_start: datetime) -> str:
    """Return a time as it stands in identities and AWS names, as in `20260102T0305Z`."""
    return f"{window_start:%Y%m%dT%H%MZ}"

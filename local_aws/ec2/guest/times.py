"""Times as the commands of a machine are given them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS_S = {
    ("us", "usec", "µs"): 1e-6,
    ("ms", "msec"): 1e-3,
    ("", "s", "sec", "second", "seconds"): 1.0,
    ("m", "min", "minute", "minutes"): 60.0,
    ("h", "hr", "hour", "hours"): 3600.0,
    ("d", "day", "days"): 86_400.0,
    ("w", "week", "weeks"): 604_800.0,
    ("M", "month", "months"): 2_629_800.0,
    ("y", "year", "years"): 31_557_600.0,
}
_SECONDS = {name: seconds for names, seconds in _UNITS_S.items() for name in names}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµ]*)")


def parse_span(text: str) -> float:
    """Read a time span as systemd does, such as `90`, `90s` or `1h 30min`, in seconds."""
    total, position = 0.0, 0
    while position < len(text.rstrip()):
        found = _PART.match(text, position)
        if not found or found.group(2) not in _SECONDS:
            raise ValueError(f"Failed to parse timer value: {text}")
        total += float(found.group(1)) * _SECONDS[found.group(2)]
        position = found.end()
    if position == 0:
        raise ValueError(f"Failed to parse timer value: {text}")
    return total


def parse_shutdown_time(text: str, now: datetime) -> float:
    """Read the time that shutdown was given, `now`, `+5`, `5` or `23:50`, as seconds from now."""
    if text == "now":
        return 0.0
    if re.fullmatch(r"\+?\d+", text):
        return int(text) * 60.0
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if not found or int(found.group(1)) > 23 or int(found.group(2)) > 59:
        raise ValueError(f"Failed to parse time specification: {text}")
    wanted = now.replace(hour=int(found.group(1)), minute=int(found.group(2)), second=0, microsecond=0)
    if wanted <= now:
        wanted += timedelta(days=1)
    return (wanted - now).total_seconds()

"""How numbers and times read in messages: at a glance, and no more exact than they are."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import floor, log10
from urllib.parse import quote

from vigil.windows import WINDOW

_RAREST = 1_000_000_000
_AROUND = timedelta(hours=1)
_DAY = timedelta(days=1)
_YEAR = 365.25 * _DAY
_UNITS = (
    ("years", _YEAR),
    ("months", 30.44 * _DAY),
    ("weeks", 7 * _DAY),
    ("days", _DAY),
    ("hours", timedelta(hours=1)),
    ("minutes", timedelta(minutes=1)),
)


def rarity_in_words(score: float, extrapolated: bool) -> str:
    """Return a rarity as people read it.

    Args:
        score: as rare as one window in so many, on either side.
        extrapolated: rarer than what the data can show.
    """
    rarity = abs(score)
    if rarity > _RAREST:
        words = "rarer than one window in a billion"
    else:
        windows = _rounded(rarity)
        words = f"as rare as one window in {number(windows)}, about one in {_span(windows * WINDOW)}"
    return f"{words}; rarer than the data can show, extrapolated" if extrapolated else words


def _rounded(value: float) -> int:
    """Return a number of two significant digits."""
    return int(round(value, 1 - floor(log10(max(value, 1)))))


def _span(time: timedelta) -> str:
    """Return a time in the largest unit of which there are two at least."""
    if time >= 100 * _YEAR:
        return "more than a century"
    name, unit = next(((name, unit) for name, unit in _UNITS if time >= 2 * unit), _UNITS[-1])
    return f"{round(time / unit)} {name}"


def number(value: float) -> str:
    """Return a number as people read it, as in 48 000; a small one that is not whole with a digit."""
    if value < 10 and round(value, 1) != round(value):
        return f"{value:.1f}"
    return f"{value:,.0f}".replace(",", " ")


def events(observed: int) -> str:
    """Return a count with its noun."""
    return "1 event" if observed == 1 else f"{number(observed)} events"


def moment(instant: datetime) -> str:
    """Return a time of UTC."""
    return f"{instant:%Y-%m-%d %H:%M}"


def duration(time: timedelta) -> str:
    """Return how long something lasted."""
    hours, minutes = divmod(int(time.total_seconds()) // 60, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def link_to(template: str | None, series: str, start: datetime, end: datetime) -> str:
    """Return a link to what happened, with an hour around it; empty without a template.

    Args:
        template: URL with {series}, {from} and {to}, as the setting alert_link has it.
        series: its name.
        start: when it began.
        end: up to when it is to be seen.
    """
    if template is None:
        return ""
    return template.format_map(
        {"series": quote(series, safe=""), "from": _stamp(start - _AROUND), "to": _stamp(end + _AROUND)}
    )


def _stamp(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"

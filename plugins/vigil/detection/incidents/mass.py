"""Mass outages: when very many series break at once, one message tells it.

A mass outage is an incident of its own kind. It begins when so many series are to be told of within a
quarter of an hour, and ends when nine tenths of them are calm. While it goes on it mutes every series: what
is still anomalous after its end is told then, by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil

from vigil.detection.incidents.incident import MASS, Incident
from vigil.detection.incidents.mutes import Mute
from vigil.detection.incidents.severity import SEVERITIES
from vigil.windows import WINDOW

GROUP = "group"
WITHIN = timedelta(minutes=15)

_CALM_SHARE = 0.9


def outbreak(told: Iterable[tuple[datetime, str]], fewest: int) -> tuple[datetime, datetime] | None:
    """Find the first window at which enough series are told of within a quarter of an hour.

    Args:
        told: window and series of each telling.
        fewest: how many series are enough.

    Returns:
        The first window of that time and the last; None if there is none.
    """
    recent: list[tuple[datetime, str]] = []
    for window, series in sorted(told):
        recent = [(start, name) for start, name in recent if start > window - WITHIN]
        recent.append((window, series))
        if len(recent) >= fewest and len({name for _, name in recent}) >= fewest:
            return recent[0][0], window
    return None


def outage_of(since: datetime, members: Sequence[Incident]) -> Incident:
    """Return the mass outage of some incidents.

    Args:
        since: window at which the first of them was to be told.
        members: at least one.
    """
    worst = worst_first(members)[0]
    return Incident(
        series=GROUP,
        opened_at=since,
        kind=MASS,
        last_anomalous=max(incident.last_anomalous for incident in members),
        calm_since=None,
        closed_at=None,
        severity=worst.severity,
        windows=sum(incident.windows for incident in members),
        flares=0,
        model_version=worst.model_version,
        peak=worst.peak,
    )


def worst_first(members: Iterable[Incident]) -> list[Incident]:
    """Return incidents, the gravest first."""
    return sorted(
        members, key=lambda i: (-SEVERITIES.index(i.severity), -abs(i.peak.score), i.series, i.opened_at)
    )


def reason_of(outage: Incident) -> str:
    """Return the reason for which a mass outage mutes its series; no other one has the same."""
    return reason_since(outage.opened_at)


def reason_since(since: datetime) -> str:
    """Return the reason of the mass outage that began at a window."""
    return f"mass outage since {since:%Y-%m-%d %H:%M} UTC"


def mute_of(outage: Incident) -> Mute:
    """Return the mute that a mass outage is for every series."""
    end = None if outage.closed_at is None else outage.told.at
    return Mute("*", outage.opened_at, end, reason_of(outage))


def calm_of(
    members: Sequence[Incident], closes_after: timedelta, newest: datetime
) -> tuple[datetime, datetime] | None:
    """Find when nine tenths of the series of a mass outage were calm.

    A series whose windows became unknown counts as calm too: else an outage might never end.

    Args:
        members: incidents of the outage.
        closes_after: so long a calm must have lasted.
        newest: start of the newest window that was judged.

    Returns:
        When the calm began, and the window at which that is known; None if it is not yet so.
    """
    openings = sorted(incident.opened_at for incident in members)
    for place, last in enumerate(sorted(incident.last_anomalous for incident in members), start=1):
        known = last + closes_after
        joined = bisect_right(openings, known)
        if known <= newest and place >= ceil(_CALM_SHARE * joined):
            return last + WINDOW, known
    return None


def ended(outage: Incident, members: Sequence[Incident], calm_since: datetime) -> Incident:
    """Return a mass outage that is over."""
    grown = outage_of(outage.opened_at, members)
    return replace(
        grown,
        last_anomalous=calm_since - WINDOW,
        calm_since=calm_since,
        closed_at=calm_since,
        told=outage.told,
    )

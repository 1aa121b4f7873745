"""Alerts: what people read, and the identity that makes each of them one message.

An identity is `subject/incident/kind/n`, as in `orders/20260102T0305Z/opened/1`. It follows from the incident
alone, so a message that is written twice is one row of the outbox.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.incidents.incident import MASS, SILENT_SOURCE, Incident, Telling
from vigil.detection.incidents.mass import GROUP, worst_first
from vigil.detection.incidents.severity import is_drop_to_zero
from vigil.detection.telling.wording import duration, events, link_to, moment, number, rarity_in_words
from vigil.detection.verdicts import HIGH, LOW, Verdict
from vigil.windows import WINDOW, slug

_TITLE_LIMIT = 100
_NAMED = 10
# SNS compares numbers up to this one.
_LARGEST_NUMBER = 1_000_000_000


@dataclass(frozen=True)
class Alert:
    """One message.

    Attributes:
        identity: subject/incident/kind/n.
        subject: the series it is about, or `group`.
        title: at most 100 ASCII characters, as SNS wants its subject line.
        body: its text.
        attributes: for the filters of subscriptions; at most nine, for SNS takes ten and one is the identity.
    """

    identity: str
    subject: str
    title: str
    body: str
    attributes: dict[str, str | int]


def alert_of(telling: Telling, link: str | None = None) -> Alert:
    """Write the message of something to tell.

    Args:
        telling: of a series or of a silent source.
        link: template of a URL, as the setting alert_link has it.
    """
    incident = telling.incident
    if incident.kind == SILENT_SOURCE:
        title, lines = _silence(telling)
    elif incident.kind == MASS:
        title, lines = _mass(telling)
        lines += [link_to(link, incident.series, incident.opened_at, _until(telling))]
    else:
        title, lines = _TEXTS[telling.kind](telling)
        lines += [link_to(link, incident.series, incident.opened_at, _until(telling))]
    return Alert(
        identity_of(incident, telling.kind, telling.n),
        incident.series if incident.kind in (HIGH, LOW) else GROUP,
        title[:_TITLE_LIMIT],
        "\n".join(line for line in lines if line),
        _attributes(telling),
    )


def identity_of(incident: Incident, kind: str, n: int) -> str:
    """Return the identity of a message: subject/incident/kind/n.

    Args:
        incident: that it is about.
        kind: of the message.
        n: counts messages of that kind about that incident.
    """
    opened = slug(incident.opened_at)
    if incident.kind == SILENT_SOURCE:
        return f"{GROUP}/{incident.series}-{opened}/{kind}/{n}"
    return f"{incident.series}/{opened}/{kind}/{n}"


def _opening(telling: Telling) -> tuple[str, list[str]]:
    incident, verdict = telling.incident, _verdict(telling)
    title = f"{incident.series} {_state(telling)}: {_counted(verdict)} ({incident.severity})"
    return title, [
        "A recount found this out after the window had been judged." if telling.late else "",
        *_window(verdict),
        _since(telling),
        f"Judged by {verdict.model_version}.",
    ]


def _worsening(telling: Telling) -> tuple[str, list[str]]:
    incident, verdict = telling.incident, _verdict(telling)
    title = f"{incident.series} got worse: {_counted(verdict)} ({incident.severity})"
    return title, [*_window(verdict), _peak(incident), _since(telling), f"Judged by {verdict.model_version}."]


def _reminder(telling: Telling) -> tuple[str, list[str]]:
    incident, verdict = telling.incident, _verdict(telling)
    lasts = duration(_until(telling) - incident.opened_at)
    title = (
        f"{incident.series} is still {_side(telling)} after {lasts}: {_counted(verdict)} "
        f"({incident.severity})"
    )
    return title, [*_window(verdict), _peak(incident), _since(telling), f"Judged by {verdict.model_version}."]


def _closing(telling: Telling) -> tuple[str, list[str]]:
    incident = telling.incident
    closed_at = incident.closed_at or _until(telling)
    lasted = duration(closed_at - incident.opened_at)
    return f"{incident.series} is back to normal after {lasted} ({incident.severity})", [
        f"{incident.series} is back to normal since {moment(closed_at)} UTC.",
        f"It was {incident.kind} from {moment(incident.opened_at)} UTC on, for {lasted}"
        + (f", and came back {_times(incident.flares)}." if incident.flares else "."),
        _peak(incident),
        f"Judged by {incident.model_version}.",
    ]


def _correction(telling: Telling) -> tuple[str, list[str]]:
    incident = telling.incident
    return f"Correction: {incident.series} was normal on {moment(incident.opened_at)} UTC", [
        f"{incident.series} was told to be {incident.kind} from {moment(incident.opened_at)} UTC on.",
        "Events that arrived late were counted since, and no window of that incident is anomalous any more. "
        "Nothing needs to be done.",
        f"Judged by {incident.model_version}.",
    ]


_TEXTS = {
    "opened": _opening,
    "worse": _worsening,
    "reminder": _reminder,
    "closed": _closing,
    "corrected": _correction,
}


def _silence(telling: Telling) -> tuple[str, list[str]]:
    source, since = telling.incident.series, moment(telling.incident.opened_at)
    if telling.kind == "opened":
        return f"The source {source} is silent", [
            f"The source {source} has told nothing since {since} UTC.",
            "Its series are unknown from then on: they are neither counted as 0 nor judged. See whether what "
            "feeds it still runs, and the log of detect_anomalies.",
        ]
    lasted = duration(_until(telling) - telling.incident.opened_at)
    return f"The source {source} speaks again", [
        f"The source {source} speaks again, after {lasted} of silence since {since} UTC."
    ]


def _mass(telling: Telling) -> tuple[str, list[str]]:
    outage, members = telling.incident, telling.members
    many, since = f"{len(members)} series", moment(outage.opened_at)
    if telling.kind == "corrected":
        return f"Correction: there was no mass outage on {since} UTC", [
            f"Many series were told to have broken at once from {since} UTC on.",
            "Events that arrived late were counted since, and none of them is anomalous any more. Nothing "
            "needs to be done.",
        ]
    worst = [
        f"- {i.series} {i.kind}: {events(i.peak.observed)}, expected {number(i.peak.expected)} ({i.severity})"
        for i in worst_first(members)[:_NAMED]
    ]
    if telling.kind == "closed":
        lasted = duration(_until(telling) - outage.opened_at)
        return f"Mass outage of {many} is over after {lasted} ({outage.severity})", [
            f"Nine tenths of {many} are back to normal since {moment(_until(telling))} UTC.",
            f"They broke from {since} UTC on. What is still anomalous is told from now on, each by itself.",
            "The worst were:",
            *worst,
        ]
    return f"Mass outage: {many} broke at once ({outage.severity})", [
        f"{many} broke within a quarter of an hour, since {since} UTC: {_directions(members)}.",
        "Nothing is told of single series until nine tenths of them are calm.",
        "The worst are:",
        *worst,
    ]


def _directions(members: Sequence[Incident]) -> str:
    """Return how many series are high, low, and without an event."""
    zero = sum(i.kind == LOW and i.peak.observed == 0 for i in members)
    high = sum(i.kind == HIGH for i in members)
    return f"{high} high, {len(members) - high} low, {zero} of them without any event"


def _verdict(telling: Telling) -> Verdict:
    assert telling.verdict is not None  # noqa: S101 - only what is over is told without a window
    return telling.verdict


def _until(telling: Telling) -> datetime:
    """Return up to when a telling knows its incident."""
    incident = telling.incident
    if telling.verdict is None:
        return incident.closed_at or incident.last_anomalous + WINDOW
    return _verdict(telling).window_start + WINDOW


def _side(telling: Telling) -> str:
    return (
        telling.verdict.verdict if telling.verdict and telling.verdict.is_anomalous else telling.incident.kind
    )


def _state(telling: Telling) -> str:
    """Return how a series is, as the title of an opening says it."""
    incident = telling.incident
    if telling.late and incident.calm_since is not None:
        return f"was {_side(telling)}"
    if _verdict(telling).window_start == incident.opened_at:
        return f"is {_side(telling)}"
    return f"is {_side(telling)} since {incident.opened_at:%H:%M}"


def _counted(verdict: Verdict) -> str:
    return f"{events(verdict.observed)}, expected {number(verdict.expected)}"


def _window(verdict: Verdict) -> list[str]:
    """Return what is to be said of one window."""
    start, end = verdict.window_start, verdict.window_start + WINDOW
    rarity = rarity_in_words(verdict.score, verdict.extrapolated)
    return [
        f"{verdict.series}, {moment(start)} to {end:%H:%M} UTC: {_counted(verdict)}.",
        f"The band is {number(verdict.lower)} to {number(verdict.upper)}."
        + (
            " The window lies in it: it is rare together with those before it."
            if verdict.lower <= verdict.observed <= verdict.upper
            else ""
        ),
        f"{rarity[0].upper()}{rarity[1:]}.",
        "No events came although the source is complete up to its watermark: this is a drop to zero, not a "
        "silent source."
        if verdict.verdict == LOW and verdict.observed == 0
        else "",
    ]


def _since(telling: Telling) -> str:
    incident = telling.incident
    if telling.late and incident.closed_at is not None:
        return (
            f"It lasted from {moment(incident.opened_at)} to {moment(incident.closed_at)} UTC, for "
            f"{duration(incident.closed_at - incident.opened_at)}."
        )
    if incident.windows == 1:
        return ""
    return (
        f"It goes on since {moment(incident.opened_at)} UTC, for "
        f"{duration(_until(telling) - incident.opened_at)}."
    )


def _peak(incident: Incident) -> str:
    peak = incident.peak
    return (
        f"Farthest out was the window of {moment(peak.window)} UTC: {events(peak.observed)}, expected "
        f"{number(peak.expected)}, {rarity_in_words(peak.score, peak.extrapolated)}."
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _attributes(telling: Telling) -> dict[str, str | int]:
    incident, verdict = telling.incident, telling.verdict
    common: dict[str, str | int] = {
        "kind": telling.kind,
        "incident_kind": incident.kind,
        "severity": incident.severity,
    }
    if incident.kind == MASS:
        return {**common, "series_count": len(telling.members)}
    if incident.kind == SILENT_SOURCE:
        return {"source": incident.series, **common}
    peak = incident.peak
    observed, expected = (
        (verdict.observed, verdict.expected)
        if verdict and verdict.is_anomalous
        else (peak.observed, peak.expected)
    )
    return {
        "series": incident.series,
        **common,
        "direction": _side(telling),
        "drop_to_zero": "true" if is_drop_to_zero(observed, expected) else "false",
        "rarity": min(round(abs(peak.score)), _LARGEST_NUMBER),
        "model_version": incident.model_version,
    }


def alerts_of(tellings: Iterable[Telling], link: str | None = None) -> list[Alert]:
    """Write the messages of what is to be told, in the order in which it happened."""
    return [alert_of(telling, link) for telling in tellings]


def save_alerts(cursor: Cursor, alerts: Sequence[Alert], now: datetime) -> int:
    """Put alerts into the outbox; return how many were not there yet."""
    rows = [
        (
            alert.identity,
            alert.subject,
            alert.title,
            alert.body,
            json.dumps(alert.attributes, sort_keys=True),
            now,
        )
        for alert in alerts
    ]
    return cursor.executemany(statement("detection/insert_alerts"), rows) or 0

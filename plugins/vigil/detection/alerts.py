"""Alerts: what people read, and the identity that makes each of them one message.

An identity is `subject/incident/kind/n`, as in `orders/20260102T0305Z/opened/1`. It follows from the incident
alone, so a message that is written twice is one row of the outbox.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.incidents import Incident
from vigil.detection.verdicts import Verdict
from vigil.windows import WINDOW, slug

GROUP = "group"
_TITLE_LIMIT = 100


@dataclass(frozen=True)
class Alert:
    """One message.

    Attributes:
        identity: subject/incident/kind/n.
        subject: the series it is about, or `group`.
        title: at most 100 ASCII characters, as SNS wants its subject line.
        body: its text.
        attributes: for the filters of subscriptions.
    """

    identity: str
    subject: str
    title: str
    body: str
    attributes: dict[str, str]


def opening_alert(incident: Incident, verdict: Verdict) -> Alert:
    """Tell that an incident opened.

    Args:
        incident: the one that opened.
        verdict: on its first window.
    """
    end = verdict.window_start + WINDOW
    return _alert(
        incident,
        "opened",
        f"{incident.series} is {incident.kind}: {verdict.observed} events, expected {verdict.expected:.0f}",
        f"{incident.series} had {verdict.observed} events from {_time(verdict.window_start)} to "
        f"{end:%H:%M} UTC.\n"
        f"Expected were {verdict.expected:.1f}, and {verdict.lower:.1f} to {verdict.upper:.1f} would be "
        "normal.\n"
        f"That is {abs(verdict.score):.1f} times as far off as the band allows.\n"
        f"Judged by {verdict.model_version}.",
    )


def closing_alert(incident: Incident) -> Alert:
    """Tell that an incident closed."""
    assert incident.closed_at is not None  # noqa: S101 - only closed incidents have a closing alert
    return _alert(
        incident,
        "closed",
        f"{incident.series} is back to normal after {_duration(incident.closed_at - incident.opened_at)}",
        f"{incident.series} is back to normal since {_time(incident.closed_at)} UTC.\n"
        f"It was {incident.kind} from {_time(incident.opened_at)} UTC on, for "
        f"{_duration(incident.closed_at - incident.opened_at)}.\n"
        f"Farthest out was the window of {_time(incident.peak_window)} UTC, "
        f"{abs(incident.peak_score):.1f} times as far off as the band allows.",
    )


def silence_alert(incident: Incident) -> Alert:
    """Tell that a source fell silent."""
    return _group_alert(
        incident,
        "opened",
        f"The source {incident.series} is silent",
        f"The source {incident.series} has told nothing since {_time(incident.opened_at)} UTC.\n"
        "Its series are unknown from then on: they are neither counted as 0 nor judged. See whether what "
        "feeds it still runs, and the log of detect_anomalies.",
    )


def end_of_silence_alert(incident: Incident) -> Alert:
    """Tell that a silent source speaks again."""
    assert incident.closed_at is not None  # noqa: S101 - only closed incidents have a closing alert
    return _group_alert(
        incident,
        "closed",
        f"The source {incident.series} speaks again",
        f"The source {incident.series} speaks again, after "
        f"{_duration(incident.closed_at - incident.opened_at)} of silence since "
        f"{_time(incident.opened_at)} UTC.",
    )


def _alert(incident: Incident, kind: str, title: str, body: str) -> Alert:
    return Alert(
        f"{incident.series}/{slug(incident.opened_at)}/{kind}/1",
        incident.series,
        title[:_TITLE_LIMIT],
        body,
        {
            "series": incident.series,
            "kind": kind,
            "incident_kind": incident.kind,
            "model_version": incident.model_version,
        },
    )


def _group_alert(incident: Incident, kind: str, title: str, body: str) -> Alert:
    return Alert(
        f"{GROUP}/{incident.series}-{slug(incident.opened_at)}/{kind}/1",
        GROUP,
        title[:_TITLE_LIMIT],
        body,
        {"source": incident.series, "kind": kind, "incident_kind": incident.kind},
    )


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


def _duration(time: timedelta) -> str:
    hours, minutes = divmod(int(time.total_seconds()) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def save_alerts(cursor: Cursor, alerts: Iterable[Alert], now: datetime) -> int:
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

"""Writes down what a live judge found: verdicts, incidents and alerts, in one transaction.

The transaction holds the series: of two judges one waits, finds the marks gone, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.alerts import Alert, closing_alert, opening_alert, save_alerts
from vigil.detection.incidents import Incident, go_on, open_incidents, save_incidents
from vigil.detection.rows import as_json
from vigil.detection.verdicts import Verdict, save_verdicts
from vigil.windows import WINDOW


@dataclass(frozen=True)
class Recorded:
    """What one transaction wrote.

    Attributes:
        judged: windows that got a verdict.
        anomalous: those among them that are high or low.
        opened: incidents that opened.
        closed: incidents that closed.
        alerts: messages put into the outbox.
    """

    judged: int
    anomalous: int
    opened: int
    closed: int
    alerts: int


def record_verdicts(cursor: Cursor, verdicts: Sequence[Verdict], now: datetime) -> Recorded:
    """Write the verdicts on windows that are still marked and still have the count that was judged."""
    names = sorted({verdict.series for verdict in verdicts})
    cursor.execute(statement("detection/hold_judged_series"), {"series": as_json([name] for name in names)})
    judged_until = dict(cursor.fetchall())
    standing = _still_standing(cursor, verdicts)
    save_verdicts(cursor, standing, now)
    new = [verdict for verdict in standing if verdict.window_start >= judged_until[verdict.series]]
    incidents, alerts = _go_on_with_incidents(cursor, new)
    save_incidents(cursor, incidents)
    alerted = save_alerts(cursor, alerts, now)
    newest = {verdict.series: verdict.window_start + WINDOW for verdict in new}
    cursor.execute(statement("detection/advance_judged_until"), {"series": as_json(newest.items())})
    cursor.execute(
        statement("detection/delete_unjudged_windows"),
        {"windows": as_json((verdict.series, verdict.window_start) for verdict in standing)},
    )
    return Recorded(
        judged=len(standing),
        anomalous=sum(verdict.is_anomalous for verdict in standing),
        opened=sum(alert.attributes["kind"] == "opened" for alert in alerts),
        closed=sum(incident.closed_at is not None for incident in incidents),
        alerts=alerted,
    )


def _still_standing(cursor: Cursor, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Lock the marks, and return the verdicts whose window was neither judged nor recounted meanwhile."""
    windows = as_json((verdict.series, verdict.window_start) for verdict in verdicts)
    cursor.execute(statement("detection/hold_unjudged_windows"), {"windows": windows})
    cursor.execute(statement("detection/select_revisions"), {"windows": as_json(cursor.fetchall())})
    revisions = {(series, start): revision for series, start, revision in cursor.fetchall()}
    return [
        verdict
        for verdict in verdicts
        if revisions.get((verdict.series, verdict.window_start)) == verdict.revision
    ]


def _go_on_with_incidents(cursor: Cursor, verdicts: Sequence[Verdict]) -> tuple[list[Incident], list[Alert]]:
    """Return the incidents that change by verdicts that are the newest of their series, and what to tell."""
    by_series = {
        series: sorted(group, key=attrgetter("window_start"))
        for series, group in groupby(sorted(verdicts, key=attrgetter("series")), key=attrgetter("series"))
    }
    before = open_incidents(cursor, sorted(by_series))
    changed: list[Incident] = []
    alerts: list[Alert] = []
    for series, own in by_series.items():
        incidents = go_on(before.get(series), own, alerted=True)
        changed.extend(incidents)
        alerts.extend(alerts_of(incidents, own, known=before.get(series)))
    return changed, alerts


def alerts_of(
    incidents: Sequence[Incident], verdicts: Sequence[Verdict], known: Incident | None = None
) -> list[Alert]:
    """Return what is to be told of incidents, in the order in which it happened.

    Args:
        incidents: of one series, in order.
        verdicts: on its windows, among them the first one of each incident but `known`.
        known: the incident whose opening was told before.
    """
    on_window = {verdict.window_start: verdict for verdict in verdicts}
    alerts = []
    for incident in incidents:
        if known is None or incident.opened_at != known.opened_at:
            alerts.append(opening_alert(incident, on_window[incident.opened_at]))
        if incident.closed_at is not None:
            alerts.append(closing_alert(incident))
    return alerts

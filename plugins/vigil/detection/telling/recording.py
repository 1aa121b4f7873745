"""Writes down what a live judge found: verdicts, incidents and alerts, in one transaction.

Judges take turns, and the transaction holds the series: of two judges one waits, finds the marks gone, and
writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.incidents.store import save_incidents
from vigil.detection.pipeline import Pipeline
from vigil.detection.rows import as_json
from vigil.detection.telling.alerts import alerts_of, save_alerts
from vigil.detection.telling.following import follow
from vigil.detection.verdicts import Verdict, save_verdicts
from vigil.windows import WINDOW

_WORK = "judge"


@dataclass(frozen=True)
class Recorded:
    """What one transaction wrote.

    Attributes:
        judged: windows that got a verdict.
        anomalous: those among them that are high or low.
        opened: incidents whose opening is told.
        closed: incidents whose end is told.
        alerts: messages put into the outbox.
    """

    judged: int
    anomalous: int
    opened: int
    closed: int
    alerts: int


def record_verdicts(
    cursor: Cursor,
    verdicts: Sequence[Verdict],
    pipeline: Pipeline,
    threshold: float,
    now: datetime,
    link: str | None = None,
) -> Recorded:
    """Write the verdicts on windows that are still marked and still have the count that was judged.

    Args:
        cursor: of a transaction of its own.
        verdicts: of any series.
        pipeline: says what an incident is, and when nobody is to be told.
        threshold: rarity from which on windows are anomalous.
        now: the present time.
        link: template of a URL, as the setting alert_link has it.
    """
    cursor.execute(statement("detection/take_turn"), {"work": _WORK})
    names = sorted({verdict.series for verdict in verdicts})
    cursor.execute(statement("detection/hold_judged_series"), {"series": as_json([name] for name in names)})
    judged_until = dict(cursor.fetchall())
    standing = _still_standing(cursor, verdicts)
    save_verdicts(cursor, standing, now)
    new = [verdict for verdict in standing if verdict.window_start >= judged_until[verdict.series]]
    folded = follow(cursor, standing, judged_until, pipeline, threshold, now)
    save_incidents(cursor, folded.incidents)
    alerted = save_alerts(cursor, alerts_of(folded.tellings, link), now)
    newest = {verdict.series: verdict.window_start + WINDOW for verdict in new}
    cursor.execute(statement("detection/advance_judged_until"), {"series": as_json(newest.items())})
    cursor.execute(
        statement("detection/delete_unjudged_windows"),
        {"windows": as_json((verdict.series, verdict.window_start) for verdict in standing)},
    )
    return Recorded(
        judged=len(standing),
        anomalous=sum(verdict.is_anomalous for verdict in standing),
        opened=sum(telling.kind == "opened" for telling in folded.tellings),
        closed=sum(telling.kind == "closed" for telling in folded.tellings),
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

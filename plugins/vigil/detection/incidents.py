"""Incidents: consecutive anomalous windows of one series, told once.

`go_on` is a pure fold over verdicts in the order of their windows. Judging live goes on with the open
incident, window by window. What a recount changes afterwards does not rewrite what people were told: a live
window that is judged again gets a new verdict, and no incident changes. History is different: nobody was
told, so `rebuild_incidents` derives its incidents from the stored verdicts, as often as one likes and in any
order of days.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.rows import as_json
from vigil.detection.verdicts import Verdict, verdict_of
from vigil.windows import WINDOW

SILENT_SOURCE = "silent_source"


@dataclass(frozen=True)
class Incident:
    """Consecutive anomalous windows.

    Attributes:
        series: its name, or the name of the source that fell silent.
        opened_at: start of the first anomalous window.
        last_anomalous: start of the last one.
        closed_at: start of the first window after it that is not anomalous; None while it goes on.
        kind: high or low, as the first window was; or silent_source.
        windows: how many anomalous windows.
        peak_window: start of the one farthest outside the band.
        peak_score: its score.
        model_version: that judged the first window.
        alerted: its opening was put into the outbox.
    """

    series: str
    opened_at: datetime
    last_anomalous: datetime
    closed_at: datetime | None
    kind: str
    windows: int
    peak_window: datetime
    peak_score: float
    model_version: str
    alerted: bool


def go_on(incident: Incident | None, verdicts: Iterable[Verdict], alerted: bool) -> list[Incident]:
    """Fold verdicts of one series into incidents.

    Args:
        incident: the one that was open before, or None.
        verdicts: in the order of their windows, all after those of `incident`.
        alerted: whether the openings are put into the outbox.

    Returns:
        The incidents in order, `incident` first if it was open; only the last one may still be open.
    """
    done: list[Incident] = []
    for verdict in verdicts:
        if incident and (not verdict.is_anomalous or verdict.window_start > incident.last_anomalous + WINDOW):
            # After a gap, too, the first window that is not known to be anomalous closes it.
            done.append(replace(incident, closed_at=incident.last_anomalous + WINDOW))
            incident = None
        if verdict.is_anomalous:
            incident = _longer(incident, verdict) if incident else _opened(verdict, alerted)
    return [*done, incident] if incident else done


def _opened(verdict: Verdict, alerted: bool) -> Incident:
    return Incident(
        series=verdict.series,
        opened_at=verdict.window_start,
        last_anomalous=verdict.window_start,
        closed_at=None,
        kind=verdict.verdict,
        windows=1,
        peak_window=verdict.window_start,
        peak_score=verdict.score,
        model_version=verdict.model_version,
        alerted=alerted,
    )


def _longer(incident: Incident, verdict: Verdict) -> Incident:
    longer = replace(incident, last_anomalous=verdict.window_start, windows=incident.windows + 1)
    if abs(verdict.score) > abs(incident.peak_score):
        return replace(longer, peak_window=verdict.window_start, peak_score=verdict.score)
    return longer


def open_incidents(cursor: Cursor, series: Sequence[str]) -> dict[str, Incident]:
    """Return the open incidents that began in live windows, by series."""
    cursor.execute(
        statement("detection/select_open_incidents"), {"series": as_json([name] for name in series)}
    )
    return {row[0]: _incident(row) for row in cursor.fetchall()}


def silent_sources(cursor: Cursor) -> list[Incident]:
    """Return the open incidents of silent sources."""
    cursor.execute(statement("detection/select_silent_sources"))
    return [_incident(row) for row in cursor.fetchall()]


def _incident(row: tuple[Any, ...]) -> Incident:
    values = (*row[:-1], bool(row[-1]))
    return Incident(*values)


def save_incidents(cursor: Cursor, incidents: Iterable[Incident]) -> None:
    """Insert incidents, or bring them up to date."""
    cursor.executemany(
        statement("detection/insert_incidents"), [tuple(vars(incident).values()) for incident in incidents]
    )


def rebuild_incidents(
    cursor: Cursor, series: str, start: datetime, end: datetime, history_end: datetime, alerted: bool
) -> tuple[list[Incident], list[Verdict]]:
    """Derive the incidents of a series' history in [start, end) anew, with those that reach over its edges.

    Args:
        cursor: of a transaction that holds the series.
        series: its name.
        start: first window.
        end: first window after it.
        history_end: where live windows begin or the series ends; an incident that lasts until then closes.
        alerted: whether the openings are put into the outbox.

    Returns:
        The incidents in order, and the verdicts they follow from.
    """
    cursor.execute(
        statement("detection/select_incidents_at_edges"),
        {"series": series, "end": end, "before": start - WINDOW, "history_end": history_end},
    )
    touching = [_incident(row) for row in cursor.fetchall()]
    first = min([start, *(incident.opened_at for incident in touching)])
    last = max([end, *(incident.last_anomalous + WINDOW for incident in touching)])
    verdicts = _verdicts_that_hold(cursor, series, first, min(last + WINDOW, history_end))
    known = {incident.opened_at for incident in touching if incident.alerted}
    incidents = [
        replace(incident, alerted=alerted or incident.opened_at in known)
        for incident in go_on(None, verdicts, alerted)
    ]
    if incidents and incidents[-1].last_anomalous + WINDOW >= history_end:
        incidents[-1] = replace(incidents[-1], closed_at=history_end)
    cursor.execute(statement("detection/delete_incidents"), {"series": series, "start": first, "end": last})
    save_incidents(cursor, incidents)
    return incidents, verdicts


def _verdicts_that_hold(cursor: Cursor, series: str, start: datetime, end: datetime) -> list[Verdict]:
    """Return one verdict a window, in order: the one on the newest count, by whoever judged last."""
    cursor.execute(statement("detection/select_verdicts"), {"series": series, "start": start, "end": end})
    verdicts = {verdict.window_start: verdict for verdict in map(verdict_of, cursor.fetchall())}
    return list(verdicts.values())

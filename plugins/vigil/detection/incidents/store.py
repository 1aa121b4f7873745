"""Incidents in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.incidents.incident import Incident, IncidentRules, Peak, Telling, Told, go_on, tell_of
from vigil.detection.rows import as_json
from vigil.detection.verdicts import Verdict, verdict_of
from vigil.windows import WINDOW


def newest_incidents(cursor: Cursor, series: Sequence[str], lately: datetime) -> dict[str, Incident]:
    """Return the newest incident of each series in live windows, as far as verdicts may still change it.

    Args:
        cursor: of a transaction that holds the series.
        series: their names.
        lately: incidents that are over and were last anomalous before then are left out.
    """
    values = {"series": as_json([name] for name in series), "lately": lately}
    cursor.execute(statement("detection/select_newest_incidents"), values)
    return {row[0]: incident_of(row) for row in cursor.fetchall()}


def incidents_near(
    cursor: Cursor, periods: Iterable[tuple[str, datetime, datetime]]
) -> dict[str, list[Incident]]:
    """Return the incidents in live windows that reach into a period of each series, or are open, in order.

    Args:
        cursor: of a transaction that holds the series.
        periods: series, start and end of each.
    """
    cursor.execute(statement("detection/select_incidents_near"), {"periods": as_json(periods)})
    return _by_series(cursor)


def incidents_around(
    cursor: Cursor,
    series: str,
    start: datetime,
    end: datetime,
    history_end: datetime,
) -> list[Incident]:
    """Return the incidents of a series' history that reach into [start, end], in order.

    Args:
        cursor: of a transaction that holds the series.
        series: its name.
        start: of the period.
        end: of the period.
        history_end: where live windows begin.
    """
    cursor.execute(
        statement("detection/select_incidents_around"),
        {"series": series, "start": start, "end": end, "history_end": history_end},
    )
    return [incident_of(row) for row in cursor.fetchall()]


def untold_incidents(cursor: Cursor, series: Sequence[str]) -> dict[str, list[Incident]]:
    """Return the incidents of each series in live windows that are over, or never were, and nobody said so.

    Args:
        cursor: of a transaction that holds the series.
        series: their names.
    """
    cursor.execute(
        statement("detection/select_untold_incidents"), {"series": as_json([name] for name in series)}
    )
    return _by_series(cursor)


def silent_sources(cursor: Cursor) -> list[Incident]:
    """Return the silences of sources that go on, or that people believe to go on."""
    cursor.execute(statement("detection/select_silent_sources"))
    return [incident_of(row) for row in cursor.fetchall()]


def _by_series(cursor: Cursor) -> dict[str, list[Incident]]:
    found: dict[str, list[Incident]] = {}
    for row in cursor.fetchall():
        found.setdefault(row[0], []).append(incident_of(row))
    return found


def incident_of(row: Sequence[Any]) -> Incident:
    """Return the incident of a row that has its columns in order."""
    score, extrapolated, observed, expected = row[11:15]
    openings, worse, reminders, closings, corrections, goes_on, at, told_score = row[15:23]
    muted_by, cleared_at = row[23:]
    peak = Peak(row[10], score, bool(extrapolated), observed, expected)
    told = Told(openings, worse, reminders, closings, corrections, bool(goes_on), at, told_score)
    values = (*row[:10], peak, told, muted_by, cleared_at)
    return Incident(*values)


def _row_of(incident: Incident) -> tuple[Any, ...]:
    before, after = list(vars(incident).values())[:10], (incident.muted_by, incident.cleared_at)
    return (*before, *vars(incident.peak).values(), *vars(incident.told).values(), *after)


def save_incidents(cursor: Cursor, incidents: Iterable[Incident]) -> None:
    """Insert incidents, or bring them up to date."""
    cursor.executemany(statement("detection/insert_incidents"), [_row_of(incident) for incident in incidents])


def rebuild_incidents(
    cursor: Cursor,
    series: str,
    start: datetime,
    end: datetime,
    history_end: datetime,
    rules: IncidentRules,
    *,
    tell: bool,
) -> tuple[list[Incident], list[Telling]]:
    """Derive the incidents of a series' history in [start, end) anew, with those that reach over its edges.

    Nobody was told of history, so it may be derived as often as one likes, and in any order of days.

    Args:
        cursor: of a transaction that holds the series.
        series: its name.
        start: first window.
        end: first window after it.
        history_end: where live windows begin or the series ends; an incident that lasts until then closes.
        rules: of the pipeline.
        tell: whether people are told.

    Returns:
        The incidents in order, and what is to be told of them.
    """
    apart = max(rules.reopens_within, rules.closes_after)
    touching = incidents_around(cursor, series, start - apart - WINDOW, end + apart + WINDOW, history_end)
    first = min([start, *(incident.opened_at for incident in touching)])
    last = max([end, *(incident.last_anomalous + WINDOW for incident in touching)])
    until = min(last + apart, history_end)
    verdicts = verdicts_that_hold(cursor, series, first, until)
    known = {incident.opened_at: incident.told for incident in touching if incident.told.openings}
    folded = go_on(None, verdicts, rules, tell=tell)
    incidents, tellings = folded.incidents, folded.tellings
    if incidents and incidents[-1].closed_at is None and verdicts[-1].window_start + WINDOW >= history_end:
        incidents[-1] = replace(incidents[-1], closed_at=incidents[-1].calm_since or history_end)
        if incidents[-1].told.goes_on:
            incidents[-1], telling = tell_of(incidents[-1], "closed", history_end - WINDOW, None)
            tellings.append(telling)
    if not tell:
        incidents = [replace(found, told=known.get(found.opened_at, found.told)) for found in incidents]
    cursor.execute(statement("detection/delete_incidents"), {"series": series, "start": first, "end": until})
    save_incidents(cursor, incidents)
    return incidents, tellings


def verdicts_that_hold(cursor: Cursor, series: str, start: datetime, end: datetime) -> list[Verdict]:
    """Return one verdict a window, in order: the one on the newest count, by whoever judged last."""
    cursor.execute(statement("detection/select_verdicts"), {"series": series, "start": start, "end": end})
    verdicts = {verdict.window_start: verdict for verdict in map(verdict_of, cursor.fetchall())}
    return list(verdicts.values())

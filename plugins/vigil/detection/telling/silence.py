"""Silent sources: a live source whose watermark stands still is an incident, and closes when it moves.

It is one incident a source, and one pair of alerts for the subject `group`, however many series the source
has: they all fall silent together. Its series are unknown meanwhile, so nothing else is told of them. A mute
of `source:` and the source's name puts the alerts off until it is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.incidents.incident import SILENT_SOURCE, Incident, Peak, Telling, tell_of
from vigil.detection.incidents.mutes import Mute, mutes_of, reason_at
from vigil.detection.incidents.severity import MAJOR
from vigil.detection.incidents.store import save_incidents, silent_sources
from vigil.detection.pipeline import Pipeline
from vigil.detection.telling.alerts import alerts_of, save_alerts
from vigil.detection.telling.muting import mutes_between
from vigil.windows import WINDOW, window_of


@dataclass(frozen=True)
class SilenceOutcome:
    """What became of the sources.

    Attributes:
        silent: sources that fell silent.
        speaking: silent sources that speak again.
        alerts: messages put into the outbox.
    """

    silent: int
    speaking: int
    alerts: int


def watch_sources(
    cursor: Cursor, pipeline: Pipeline, now: datetime, link: str | None = None
) -> SilenceOutcome:
    """Open an incident for each live source that is silent, and close those of sources that speak again."""
    # Held until the end, so that of two judges one waits and then finds the work done.
    cursor.execute(statement("detection/hold_sources"))
    watermarks = _watermarks(cursor, pipeline)
    known = silent_sources(cursor)
    going_on = {incident.series: incident for incident in known if incident.closed_at is None}
    overdue = {source for source, watermark in watermarks.items() if watermark + pipeline.silent_after < now}
    opened = [_opened(source, watermarks[source], now) for source in sorted(overdue - going_on.keys())]
    closed = [
        _closed(incident, window_of(watermarks[source]))
        for source, incident in going_on.items()
        if source in watermarks.keys() - overdue and window_of(watermarks[source]) > incident.opened_at
    ]
    changed = {(incident.series, incident.opened_at): incident for incident in (*opened, *closed)}
    mutes = mutes_between(cursor, pipeline, window_of(now), window_of(now))
    tellings: list[Telling] = []
    for incident in (*known, *opened):
        place = (incident.series, incident.opened_at)
        changed[place], telling = _told(changed.get(place, incident), mutes, now)
        tellings += [telling] if telling else []
    save_incidents(cursor, changed.values())
    alerted = save_alerts(cursor, alerts_of(tellings, link), now)
    return SilenceOutcome(len(opened), len(closed), alerted)


def _watermarks(cursor: Cursor, pipeline: Pipeline) -> dict[str, datetime]:
    """Return up to when each source of the pipeline that has live series is complete."""
    cursor.execute(statement("detection/select_live_watermarks"))
    names = {source.name for source in pipeline.sources}
    return {source: watermark for source, watermark in cursor.fetchall() if source in names}


def _opened(source: str, watermark: datetime, now: datetime) -> Incident:
    unknown = window_of(watermark)
    return Incident(
        series=source,
        opened_at=unknown,
        kind=SILENT_SOURCE,
        last_anomalous=window_of(now),
        calm_since=None,
        closed_at=None,
        severity=MAJOR,
        windows=(window_of(now) - unknown) // WINDOW,
        flares=0,
        model_version="",
        peak=Peak(unknown, 0),
    )


def _closed(incident: Incident, known_again: datetime) -> Incident:
    return replace(
        incident,
        last_anomalous=known_again - WINDOW,
        calm_since=known_again,
        closed_at=known_again,
        windows=(known_again - incident.opened_at) // WINDOW,
    )


def _told(incident: Incident, mutes: list[Mute], now: datetime) -> tuple[Incident, Telling | None]:
    """Return a silence as people know it, and what they are told now."""
    over = incident.closed_at is not None
    if incident.told.goes_on != over:
        return incident, None
    reason = reason_at(window_of(now), mutes_of(f"source:{incident.series}", mutes))
    if reason is not None:
        return replace(incident, muted_by=reason), None
    return tell_of(incident, "closed" if over else "opened", window_of(now), None)

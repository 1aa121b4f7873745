"""Silent sources: a live source whose watermark stands still is an incident, and closes when it moves.

It is one incident a source, and one pair of alerts for the subject `group`, however many series the source
has: they all fall silent together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.alerts import end_of_silence_alert, save_alerts, silence_alert
from vigil.detection.incidents import SILENT_SOURCE, Incident, save_incidents, silent_sources
from vigil.detection.pipeline import Pipeline
from vigil.windows import WINDOW, window_of


@dataclass(frozen=True)
class SilenceOutcome:
    """What became of the sources.

    Attributes:
        silent: sources that fell silent.
        speaking: silent sources that speak again.
    """

    silent: int
    speaking: int


def watch_sources(cursor: Cursor, pipeline: Pipeline, now: datetime) -> SilenceOutcome:
    """Open an incident for each live source that is silent, and close those of sources that speak again."""
    # Held until the end, so that of two judges one waits and then finds the work done.
    cursor.execute(statement("detection/hold_sources"))
    watermarks = _watermarks(cursor, pipeline)
    known = {incident.series: incident for incident in silent_sources(cursor)}
    overdue = {source for source, watermark in watermarks.items() if watermark + pipeline.silent_after < now}
    opened = [_opened(source, watermarks[source], now) for source in sorted(overdue - known.keys())]
    closed = [
        _closed(incident, window_of(watermarks[source]))
        for source, incident in known.items()
        if source in watermarks.keys() - overdue and window_of(watermarks[source]) > incident.opened_at
    ]
    save_incidents(cursor, [*opened, *closed])
    save_alerts(cursor, [*map(silence_alert, opened), *map(end_of_silence_alert, closed)], now)
    return SilenceOutcome(len(opened), len(closed))


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
        last_anomalous=window_of(now),
        closed_at=None,
        kind=SILENT_SOURCE,
        windows=(window_of(now) - unknown) // WINDOW,
        peak_window=unknown,
        peak_score=0,
        model_version="",
        alerted=True,
    )


def _closed(incident: Incident, known_again: datetime) -> Incident:
    return replace(
        incident,
        last_anomalous=known_again - WINDOW,
        closed_at=known_again,
        windows=(known_again - incident.opened_at) // WINDOW,
    )

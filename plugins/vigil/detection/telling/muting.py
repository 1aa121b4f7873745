"""Where mutes come from: the maintenance calendar in the pipeline file, and snoozes that people set."""

from __future__ import annotations

from datetime import datetime

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.incidents.mutes import Mute
from vigil.detection.pipeline import Pipeline
from vigil.windows import WINDOW


def mutes_between(cursor: Cursor, pipeline: Pipeline, start: datetime, end: datetime) -> list[Mute]:
    """Return the mutes of windows from `start` to `end`, the calendar's first."""
    calendar = [entry.mute for entry in pipeline.maintenance]
    cursor.execute(statement("detection/select_snoozes"), {"start": start, "end": end + WINDOW})
    snoozes = [
        Mute(pattern, starts_at, ends_at, f"snooze: {reason}")
        for pattern, starts_at, ends_at, reason in cursor.fetchall()
    ]
    return [*calendar, *snoozes]

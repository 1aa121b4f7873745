"""Counts events into windows.

A dirty window is claimed, counted whole and set, so the order in which events arrive never matters, nor does
how often. Windows without an event become 0 once the watermark has passed them, never before; those whose
events would be refused as older than retention stay unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement
from vigil.detection.counting.retention import dropped_before
from vigil.detection.rows import as_json
from vigil.settings import Settings
from vigil.windows import WINDOW, window_of, windows_between

_WINDOWS_PER_CLAIM = 5_000
_SERIES_PER_FILL = 500
_WINDOWS_PER_FILL = 50_000

Window = tuple[str, datetime]


@dataclass(frozen=True)
class CountOutcome:
    """What a recount did.

    Attributes:
        recounted: windows that were dirty.
        changed: those among them whose count was new or another than before.
        filled: windows that were found empty.
    """

    recounted: int
    changed: int
    filled: int


def first_countable(now: datetime, event_retention: timedelta) -> datetime:
    """Return the first window of which every event is accepted: of older ones nobody can know the count."""
    return window_of(now - event_retention) + WINDOW


def count_windows(database: Database, settings: Settings, now: datetime) -> CountOutcome:
    """Recount every dirty window and fill in the empty ones; what another collector holds is left to it."""
    recounted, changed = recount_dirty_windows(database, settings, now)
    return CountOutcome(recounted, changed, fill_empty_windows(database, settings, now))


def recount_dirty_windows(database: Database, settings: Settings, now: datetime) -> tuple[int, int]:
    """Recount windows until none is left to claim; return how many, and how many of them changed."""
    recounted = changed = 0
    oldest = dropped_before(now, settings.event_retention)
    with connected(database) as connection:
        while True:
            claimed, differing = in_transaction(connection, partial(_recount, oldest=oldest, now=now))
            if not claimed:
                return recounted, changed
            recounted += claimed
            changed += differing


def _recount(cursor: Cursor, oldest: datetime, now: datetime) -> tuple[int, int]:
    """Recount some windows; return how many were claimed, and how many of them changed."""
    cursor.execute(statement("detection/claim_dirty_windows"), {"limit": _WINDOWS_PER_CLAIM})
    claimed = cursor.fetchall()
    # Where retention has dropped the events, the count stays as it is.
    kept = [(series, start) for series, start in claimed if start >= oldest]
    cursor.execute(statement("detection/recount_windows"), {"windows": as_json(kept)})
    differing = cursor.fetchall()
    cursor.execute(statement("detection/save_counts"), {"counts": as_json(differing), "now": now})
    cursor.execute(statement("detection/insert_unjudged_windows"), {"windows": as_json(differing)})
    cursor.execute(statement("detection/delete_dirty_windows"), {"windows": as_json(claimed)})
    return len(claimed), len(differing)


def fill_empty_windows(database: Database, settings: Settings, now: datetime) -> int:
    """Count as 0 every window without an event that lies before its series' watermark and end.

    It stops before a window that waits to be recounted: only the recount knows whether that one is empty. It
    passes over windows that are older than events may be.
    """
    filled = 0
    oldest = first_countable(now, settings.event_retention)
    with connected(database) as connection:
        advanced = True
        while advanced:
            advanced = False
            after: str | None = ""
            while after is not None:
                step = in_transaction(connection, partial(_fill, after=after, oldest=oldest, now=now))
                after, filled, advanced = step.last_series, filled + step.filled, advanced or step.advanced
    return filled


@dataclass(frozen=True)
class _FillStep:
    last_series: str | None
    filled: int
    advanced: bool


def _fill(cursor: Cursor, after: str, oldest: datetime, now: datetime) -> _FillStep:
    """Fill in some windows of the next few series."""
    cursor.execute(statement("detection/claim_series_to_fill"), {"after": after, "limit": _SERIES_PER_FILL})
    claimed = cursor.fetchall()
    if not claimed:
        return _FillStep(None, 0, False)
    first_dirty = _first_dirty_windows(cursor, [(series, start) for series, start, _ in claimed])
    most = max(1, _WINDOWS_PER_FILL // len(claimed)) * WINDOW
    ends = {
        series: min(window_of(end), first_dirty.get(series, end), max(start, oldest) + most)
        for series, start, end in claimed
    }
    windows = as_json(
        (series, window)
        for series, start, _ in claimed
        for window in windows_between(max(start, oldest), ends[series])
    )
    cursor.execute(statement("detection/select_missing_windows"), {"windows": windows})
    missing = [(series, window, 0) for series, window in cursor.fetchall()]
    cursor.execute(statement("detection/save_counts"), {"counts": as_json(missing), "now": now})
    cursor.execute(statement("detection/insert_unjudged_windows"), {"windows": as_json(missing)})
    cursor.execute(statement("detection/advance_counted_until"), {"series": as_json(ends.items())})
    advanced = any(ends[series] > start for series, start, _ in claimed)
    return _FillStep(claimed[-1][0], len(missing), advanced)


def _first_dirty_windows(cursor: Cursor, starts: list[Window]) -> dict[str, datetime]:
    cursor.execute(statement("detection/select_first_dirty_windows"), {"series": as_json(starts)})
    return dict(cursor.fetchall())

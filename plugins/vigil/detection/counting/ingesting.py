"""Stores what a source gave: events, dirty marks, watermarks and the position, in one transaction.

The marks are written before the events. While an ingest is under way it holds the locks of its marks, and a
collector passes them over; once it has committed, its events are visible to whoever claims them.

A series belongs to one source. When its source is configured no more, because somebody renamed it or moved
the series, the next source that gives it takes it over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import in_transaction, statement
from vigil.detection.counting.windows import first_countable
from vigil.detection.events import Events, instant_of, microseconds_of
from vigil.detection.rows import as_json
from vigil.detection.sources import Batch, Position, SeriesState, position_text
from vigil.errors import DataError
from vigil.settings import Settings
from vigil.windows import window_of

_EVENTS_PER_STATEMENT = 5_000


@dataclass(frozen=True)
class IngestOutcome:
    """What became of a batch.

    Attributes:
        ingested: events that were new.
        duplicates: events that were there already.
        too_late: events that were refused.
        foreign: events that were refused because they named a series of another configured source.
        foreign_series: these series.
        overtaken: another collector had taken the same batch; nothing was stored.
    """

    ingested: int = 0
    duplicates: int = 0
    too_late: int = 0
    foreign: int = 0
    foreign_series: frozenset[str] = frozenset()
    overtaken: bool = False


@dataclass(frozen=True)
class _Known:
    """A series as it was before the batch."""

    source: str
    first_window: datetime
    watermark: datetime


def stored_position(cursor: Cursor, source: str) -> Position | None:
    """Return where a source was left; None if nothing was ever taken from it."""
    cursor.execute(statement("detection/select_position"), {"source": source})
    row = cursor.fetchone()
    position: Position | None = json.loads(row[0]) if row else None
    return position


def ingest(
    connection: Connection[Any],
    source: str,
    batch: Batch,
    taken_from: Position | None,
    configured: Collection[str],
    settings: Settings,
    now: datetime,
) -> IngestOutcome:
    """Store a batch.

    Args:
        connection: an open connection with nothing uncommitted on it.
        source: its name.
        batch: what it gave.
        taken_from: the position that it was asked with.
        configured: names of all sources of the pipeline; the series of any other may be taken over.
        settings: say what is too late.
        now: the present time.

    Raises:
        DataError: a series that the source itself names belongs to another.
    """
    work = partial(
        _ingest,
        source=source,
        batch=batch,
        taken_from=taken_from,
        others=set(configured) - {source},
        settings=settings,
        now=now,
    )
    return in_transaction(connection, work)


def _ingest(
    cursor: Cursor,
    source: str,
    batch: Batch,
    taken_from: Position | None,
    others: Collection[str],
    settings: Settings,
    now: datetime,
) -> IngestOutcome:
    if not _hold_position(cursor, source, taken_from, now):
        return IngestOutcome(overtaken=True)
    held = _hold_series(cursor, batch)
    known = {series: row for series, row in held.items() if row.source not in others}
    foreign = held.keys() - known.keys()
    _refuse_a_series_of_two(source, batch, held, foreign)
    own = batch.events.without(foreign)
    oldest = first_countable(now, settings.event_retention)
    in_time = _in_time(own, known, settings, oldest)
    events = own if in_time.all() else own.where(in_time)
    refused = np.bincount(own.series[~in_time], minlength=len(own.names))
    too_late = dict(zip(own.names, refused.tolist(), strict=True))
    rows = [[*row, too_late.get(row[0], 0)] for row in _series_rows(batch, events, known, oldest, now)]
    cursor.execute(statement("detection/insert_series"), {"source": source, "series": as_json(rows)})
    if batch.watermark:
        cursor.execute(
            statement("detection/advance_watermarks"), {"source": source, "watermark": batch.watermark}
        )
    cursor.execute(statement("detection/insert_dirty_windows"), {"windows": as_json(events.windows())})
    ingested = _insert(cursor, events)
    cursor.execute(
        statement("detection/update_position"),
        {"source": source, "position": position_text(batch.position), "now": now},
    )
    return IngestOutcome(
        ingested=ingested,
        duplicates=len(events) - ingested,
        too_late=int(refused.sum()),
        foreign=len(batch.events) - len(own),
        foreign_series=frozenset(foreign),
    )


def _hold_position(cursor: Cursor, source: str, taken_from: Position | None, now: datetime) -> bool:
    """Lock the source's position; tell whether it still is the one that the batch was taken from."""
    cursor.execute(
        statement("detection/insert_position"),
        {"source": source, "position": position_text(None), "now": now},
    )
    return stored_position(cursor, source) == taken_from


def _hold_series(cursor: Cursor, batch: Batch) -> dict[str, _Known]:
    """Lock the batch's series and return those that exist."""
    names = sorted({*batch.events.names, *batch.series})
    cursor.execute(statement("detection/hold_series"), {"series": as_json([name] for name in names)})
    return {series: _Known(*rest) for series, *rest in cursor.fetchall()}


def _refuse_a_series_of_two(
    source: str, batch: Batch, held: Mapping[str, _Known], foreign: Collection[str]
) -> None:
    """Refuse settings by which two sources have the same series.

    Raises:
        DataError: they do.
    """
    series = min(batch.series.keys() & foreign, default=None)
    if series is not None:
        raise DataError(
            f"The series {series} comes from the source {held[series].source}, and now from {source} too: "
            "remove one of the two, or let it give another series."
        )


def _in_time(
    events: Events, known: Mapping[str, _Known], settings: Settings, oldest: datetime
) -> NDArray[np.bool_]:
    """Tell which events are not too late, by each series' watermark before this batch; shape (n,)."""
    limits = [
        max(oldest, known[name].watermark - settings.too_late_after) if name in known else oldest
        for name in events.names
    ]
    limit = np.array([microseconds_of(instant) for instant in limits], dtype=np.int64)
    in_time: NDArray[np.bool_] = events.occurred >= limit[events.series]
    return in_time


def _series_rows(
    batch: Batch, events: Events, known: Mapping[str, _Known], oldest: datetime, now: datetime
) -> Iterator[tuple[str, datetime, datetime, datetime | None, datetime, datetime]]:
    """Yield series, first window, watermark, end, start of judging, and where the batch begins, of each."""
    first_windows = _first_windows(events)
    for name in sorted({*first_windows, *batch.series, *known}):
        state = batch.series.get(name, SeriesState())
        starts = [first_windows[name]] if name in first_windows else []
        # The windows of refused events are unknown, not empty.
        starts += [max(state.first_window, oldest)] if state.first_window else []
        begins = min(starts, default=None)
        starts += [known[name].first_window] if name in known else []
        if starts:
            first_window, live_from = min(starts), state.live_from or window_of(now)
            watermark = state.watermark or batch.watermark or first_window
            yield name, first_window, watermark, state.retired_at, live_from, begins or first_window


def _first_windows(events: Events) -> dict[str, datetime]:
    order = np.lexsort((events.occurred, events.series))
    series, first = np.unique(events.series[order], return_index=True)
    occurred = events.occurred[order][first]
    return {
        events.names[place]: window_of(instant_of(microseconds))
        for place, microseconds in zip(series.tolist(), occurred.tolist(), strict=True)
    }


def _insert(cursor: Cursor, events: Events) -> int:
    """Insert events and return how many were new."""
    rows = events.rows()
    return sum(
        cursor.execute(
            statement("detection/insert_events"),
            {"events": as_json(_by_series(rows[start : start + _EVENTS_PER_STATEMENT]))},
        )
        for start in range(0, len(rows), _EVENTS_PER_STATEMENT)
    )


def _by_series(rows: list[tuple[str, int, str]]) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield each series with its events: naming it once makes the statement a third shorter."""
    for series, own in groupby(rows, key=itemgetter(0)):
        yield series, [(occurred, event_id) for _, occurred, event_id in own]

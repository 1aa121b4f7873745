"""Reads events from an SQL table that somebody else writes.

Rows become visible when their transaction commits, not in the order of their times, so the last `settle_s`
seconds are read again each time; the identity of events makes that harmless. Complete it is up to the
database's own clock minus `settle_s`: that is the moment at which rows have settled.

It reads page after page. From the first page on that ends behind the settled moment of its reading, the
position notes that moment, and the last page goes back to it: whatever committed meanwhile is found, and
stamps that lie in the future hold nothing up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pymysql

from vigil.database import Database, connected, statement
from vigil.detection.events import Events, Row, event_id_of, is_series_name
from vigil.detection.pipeline import TableOptions
from vigil.detection.sources import EVENTS_PER_BATCH, Batch, Position, SeriesState
from vigil.errors import DatabaseError, DataError

_BEGINNING = datetime(1970, 1, 1)
# A page takes a second by an index; what takes longer than this would keep the other sources waiting.
_READ_TIMEOUT_S = 120


@dataclass(frozen=True)
class Table:
    """Gives the rows that arrived after the position."""

    options: TableOptions
    open_database: Callable[[], Database]

    @property
    def name(self) -> str:
        """Name in the pipeline settings."""
        return self.options.name

    def take(self, position: Position | None, now: datetime) -> Batch:
        """Return the next rows in the order of their arrival; at the end go back by `settle_s`.

        Raises:
            DatabaseError: the database cannot be reached, or the table cannot be read as it is described.
        """
        position = position or {"arrived": _BEGINNING.isoformat(), "event_id": None}
        clock, rows = self._read(datetime.fromisoformat(position["arrived"]), _recalled(position["event_id"]))
        settle = timedelta(seconds=self.options.settle_s)
        settled = _settled(position, clock - settle)
        events = [row for row in map(_event, rows) if row]
        more = len(rows) == EVENTS_PER_BATCH
        if more:
            *_, last_id, last_arrived = rows[-1]
            watermark = min(last_arrived - settle, settled)
            following = {"arrived": last_arrived.isoformat(), "event_id": self._noted(last_id)}
            if last_arrived > settled:
                following["settled"] = settled.isoformat()
        else:
            watermark = settled
            following = {"arrived": settled.isoformat(), "event_id": None}
        return Batch(
            events=Events.of(events),
            position=following,
            watermark=min(watermark, now),
            more=more,
            series={self.options.series: SeriesState()} if self.options.series else {},
            malformed=len(rows) - len(events),
        )

    def _read(self, arrived: datetime, event_id: Any) -> tuple[datetime, list[tuple[Any, ...]]]:
        database = self.open_database()
        in_time = replace(database, read_timeout_s=min(_READ_TIMEOUT_S, database.read_timeout_s))
        with connected(in_time) as connection, connection.cursor() as cursor:
            # Before the rows: what commits between the two is read next time.
            cursor.execute("SELECT UTC_TIMESTAMP(6)")
            ((clock,),) = cursor.fetchall()
            values = {"series": self.options.series, "arrived": arrived, "event_id": event_id}
            try:
                cursor.execute(self._query(), {**values, "limit": EVENTS_PER_BATCH})
            except (pymysql.err.ProgrammingError, pymysql.err.OperationalError) as error:
                raise DatabaseError(
                    f"The source {self.name} cannot read the table {self.options.table} ({error.args[-1]}): "
                    "correct its table and columns in the pipeline settings, and grant SELECT on it."
                ) from error
            return clock, list(cursor.fetchall())

    def _noted(self, event_id: object) -> object:
        """Return an id as the position, which is JSON, holds it.

        Raises:
            DataError: it is of a type that no position can hold.
        """
        match event_id:
            case None | str() | int() | float():
                return event_id
            case bytes():
                return {"binary": event_id.hex()}
            case Decimal():
                return {"decimal": str(event_id)}
        raise DataError(
            f"The source {self.name} cannot go on behind the {self.options.id_column} {event_id!r} of the "
            f"table {self.options.table}: name an id_column that holds numbers, text or binary strings."
        )

    def _query(self) -> str:
        """Put the names into the query; the pipeline settings let nothing but plain identifiers through."""
        options = self.options
        return statement("detection/select_arrived_rows").format(
            table=_quoted(options.table),
            series=_quoted(options.series_column) if options.series_column else "%(series)s",
            occurred_at=_quoted(options.time_column),
            event_id=_quoted(options.id_column),
            arrived=_quoted(options.arrived_column or options.time_column),
        )


def _settled(position: Position, settled: datetime) -> datetime:
    """Return the moment to go back to: what the position noted on an earlier page, or else `settled`.

    It is a full second, as stamps may be: a row's may be that much older than the row.
    """
    noted = position.get("settled")
    return datetime.fromisoformat(noted) if noted else settled.replace(microsecond=0)


def _recalled(noted: Any) -> Any:
    """Return the id that a position holds."""
    match noted:
        case {"binary": text}:
            return bytes.fromhex(text)
        case {"decimal": text}:
            return Decimal(text)
    return noted


def _quoted(identifier: str) -> str:
    return ".".join(f"`{part}`" for part in identifier.split("."))


def _event(row: tuple[Any, ...]) -> Row | None:
    """Return a row as an event, or None if it is none."""
    series, occurred_at, given_id, _ = row
    text = given_id.hex() if isinstance(given_id, bytes) else str(given_id)
    event_id = None if given_id is None else event_id_of(text)
    if event_id is None or not is_series_name(series) or not isinstance(occurred_at, datetime):
        return None
    return series, occurred_at, event_id

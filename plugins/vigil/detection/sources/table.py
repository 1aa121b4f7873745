"""Reads events from an SQL table that somebody else writes.

Rows become visible when their transaction commits, not in the order of their times, so the last `settle_s`
seconds are read again each time; the identity of events makes that harmless. Complete it is up to the
database's own clock minus `settle_s`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pymysql

from vigil.database import Database, connected, statement
from vigil.detection.events import Events, Row, event_id_of, is_series_name
from vigil.detection.pipeline import TableOptions
from vigil.detection.sources import EVENTS_PER_BATCH, Batch, Position, SeriesState
from vigil.errors import DatabaseError

_BEGINNING = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Table:
    """Gives the rows that arrived after the position."""

    options: TableOptions
    database: Database

    @property
    def name(self) -> str:
        """Name in the pipeline settings."""
        return self.options.name

    def take(self, position: Position | None, now: datetime) -> Batch:
        """Return the next rows in the order of their arrival; at the end go back by `settle_s`.

        Raises:
            DatabaseError: the database cannot be reached, or the table cannot be read as it is described.
        """
        arrived = datetime.fromisoformat(position["arrived"]) if position else _BEGINNING
        event_id = position["event_id"] if position else None
        settle = timedelta(seconds=self.options.settle_s)
        clock, rows = self._read(arrived, event_id)
        events = [row for row in map(_event, rows) if row]
        more = len(rows) == EVENTS_PER_BATCH
        if more:
            *_, last_id, last_arrived = rows[-1]
            watermark = last_arrived - settle
            following = {"arrived": last_arrived.isoformat(), "event_id": last_id}
        else:
            watermark = clock - settle
            following = {"arrived": max(arrived, watermark).isoformat(), "event_id": None}
        return Batch(
            events=Events.of(events),
            position=following,
            watermark=min(watermark, now),
            more=more,
            series={self.options.series: SeriesState()} if self.options.series else {},
            malformed=len(rows) - len(events),
        )

    def _read(self, arrived: datetime, event_id: Any) -> tuple[datetime, list[tuple[Any, ...]]]:
        with connected(self.database) as connection, connection.cursor() as cursor:
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


def _quoted(identifier: str) -> str:
    return ".".join(f"`{part}`" for part in identifier.split("."))


def _event(row: tuple[Any, ...]) -> Row | None:
    """Return a row as an event, or None if it is none."""
    series, occurred_at, given_id, _ = row
    event_id = None if given_id is None else event_id_of(str(given_id))
    if event_id is None or not is_series_name(series) or not isinstance(occurred_at, datetime):
        return None
    return series, occurred_at, event_id

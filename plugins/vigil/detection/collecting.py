"""The first half of `detect_anomalies`: takes what the sources have and brings the counts up to date."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymysql.connections import Connection
from structlog.contextvars import bound_contextvars

from vigil.database import Database, connected, in_transaction
from vigil.detection.counting.ingesting import IngestOutcome, ingest, stored_position
from vigil.detection.counting.retention import keep_partitions
from vigil.detection.counting.windows import count_windows
from vigil.detection.sources import Source
from vigil.errors import VigilError
from vigil.settings import Settings

_BATCHES_PER_RUN = 1_000
"""A source that never runs dry must not keep the others waiting for ever."""

_SERIES_TOLD = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceOutcome:
    """What came from the sources.

    Attributes:
        ingested: events that were new.
        duplicates: events that were there already.
        too_late: events that were refused.
        malformed: messages or rows that were no events.
        foreign: events that named a series of another source, and were refused.
    """

    ingested: int = 0
    duplicates: int = 0
    too_late: int = 0
    malformed: int = 0
    foreign: int = 0

    def __add__(self, other: SourceOutcome) -> SourceOutcome:
        return SourceOutcome(
            self.ingested + other.ingested,
            self.duplicates + other.duplicates,
            self.too_late + other.too_late,
            self.malformed + other.malformed,
            self.foreign + other.foreign,
        )


@dataclass(frozen=True)
class CollectOutcome(SourceOutcome):
    """What a collection did.

    Attributes:
        recounted: windows that were dirty.
        changed: those among them whose count was new or another than before.
        filled: windows that were found empty.
    """

    recounted: int = 0
    changed: int = 0
    filled: int = 0


def collect(
    database: Database, sources: Sequence[Source], settings: Settings, now: datetime
) -> CollectOutcome:
    """Take from every source what it has, then recount dirty windows and fill in empty ones.

    A source that fails does not keep the others from being taken and counted.

    Raises:
        VigilError: a source failed; raised at the end, the first one if several did.
    """
    keep_partitions(database, settings.event_retention, now)
    failures: list[VigilError] = []
    total = SourceOutcome()
    with connected(database) as connection:
        for source in sources:
            with bound_contextvars(source=source.name):
                try:
                    total += _take_all(connection, source, settings, now)
                except VigilError as failure:
                    log.error("The source %s failed: %s", source.name, failure)
                    connection.rollback()
                    failures.append(failure)
    counted = count_windows(database, settings, now)
    log.info(
        "Counted %d windows, %d of them changed; %d were empty",
        counted.recounted,
        counted.changed,
        counted.filled,
    )
    if failures:
        raise failures[0]
    return CollectOutcome(**vars(total), **vars(counted))


def _take_all(
    connection: Connection[Any], source: Source, settings: Settings, now: datetime
) -> SourceOutcome:
    """Take batch after batch until the source has no more."""
    total = SourceOutcome()
    for _ in range(_BATCHES_PER_RUN):
        position = in_transaction(connection, lambda cursor: stored_position(cursor, source.name))
        batch = source.take(position, now)
        outcome = ingest(connection, source.name, batch, position, settings, now)
        if outcome.overtaken:
            log.info("Another collector was faster at the source %s", source.name)
            continue
        batch.acknowledge(outcome.foreign_series)
        total += SourceOutcome(
            outcome.ingested, outcome.duplicates, outcome.too_late, batch.malformed, outcome.foreign
        )
        _tell(source.name, total, batch.malformed, outcome)
        if not batch.more:
            return total
    return total


def _tell(source: str, total: SourceOutcome, malformed: int, outcome: IngestOutcome) -> None:
    log.info(
        "%s: %d events ingested, %d known already, %d too late",
        source,
        total.ingested,
        total.duplicates,
        total.too_late,
    )
    if malformed:
        log.warning("%s: %d messages or rows are no events and were left where they are", source, malformed)
    if outcome.foreign:
        log.warning(
            "%s: %d events were refused, for they name series of other sources: %s",
            source,
            outcome.foreign,
            ", ".join(sorted(outcome.foreign_series)[:_SERIES_TOLD]),
        )

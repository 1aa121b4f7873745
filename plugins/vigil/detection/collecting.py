"""The first half of `detect_anomalies`: takes what the sources have and brings the counts up to date."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from structlog.contextvars import bound_contextvars

from vigil.database import Database, connected, in_transaction
from vigil.detection.counting.ingesting import IngestOutcome, ingest, stored_position
from vigil.detection.counting.retention import keep_partitions
from vigil.detection.counting.windows import CountOutcome, count_windows
from vigil.detection.sources import Source
from vigil.settings import Settings
from vigil.steps import Steps

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
        unfinished: sources that have more, which is left to the next run.
    """

    recounted: int = 0
    changed: int = 0
    filled: int = 0
    unfinished: tuple[str, ...] = ()


def collect(
    database: Database,
    sources: Sequence[Source],
    settings: Settings,
    now: datetime,
    until: float = math.inf,
) -> CollectOutcome:
    """Take from every source what it has, then recount dirty windows and fill in empty ones.

    No source and no step waits for another's success.

    Args:
        database: where events and counts lie.
        sources: each is asked at least once, whatever the time.
        settings: say what is kept, and for how long.
        now: the present time.
        until: what is left when the monotonic clock shows so much is left to the next run.

    Raises:
        VigilError: something failed; raised at the end, and says what each failure said.
    """
    steps = Steps()
    with steps.step("Keeping the partitions of the events"):
        keep_partitions(database, settings.event_retention, now)
    taken, unfinished = _take_in_turns(database, sources, settings, now, until, steps)
    counted = CountOutcome(0, 0, 0)
    with steps.step("Counting the windows"):
        counted = count_windows(database, settings, now)
    log.info(
        "Counted %d windows, %d of them changed; %d were empty",
        counted.recounted,
        counted.changed,
        counted.filled,
    )
    steps.tell()
    return CollectOutcome(**vars(taken), **vars(counted), unfinished=unfinished)


def _take_in_turns(
    database: Database,
    sources: Sequence[Source],
    settings: Settings,
    now: datetime,
    until: float,
    steps: Steps,
) -> tuple[SourceOutcome, tuple[str, ...]]:
    """Take a batch of each source in turn until none has more or the time is over; say who has more."""
    total = SourceOutcome()
    configured = {source.name for source in sources}
    waiting = deque(sources)
    turns = 0
    while waiting and (turns < len(sources) or monotonic() < until):
        turns += 1
        source = waiting.popleft()
        with bound_contextvars(source=source.name), steps.step(f"The source {source.name}"):
            outcome, more = _take(database, source, configured, settings, now)
            total += outcome
            if more:
                waiting.append(source)
    unfinished = tuple(source.name for source in waiting)
    if unfinished:
        log.warning("The time is over, and the next run goes on with %s", ", ".join(unfinished))
    return total, unfinished


def _take(
    database: Database, source: Source, configured: Collection[str], settings: Settings, now: datetime
) -> tuple[SourceOutcome, bool]:
    """Take and store a batch; return what became of it, and whether there is more."""
    with connected(database) as connection:
        position = in_transaction(connection, lambda cursor: stored_position(cursor, source.name))
        batch = source.take(position, now)
        outcome = ingest(connection, source.name, batch, position, configured, settings, now)
    if outcome.overtaken:
        log.info("Another collector was faster at the source %s", source.name)
        return SourceOutcome(), True
    batch.acknowledge(outcome.foreign_series)
    _tell(source.name, batch.malformed, outcome)
    taken = SourceOutcome(
        outcome.ingested, outcome.duplicates, outcome.too_late, batch.malformed, outcome.foreign
    )
    return taken, batch.more


def _tell(source: str, malformed: int, outcome: IngestOutcome) -> None:
    log.info(
        "%s: %d events ingested, %d known already, %d too late",
        source,
        outcome.ingested,
        outcome.duplicates,
        outcome.too_late,
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

"""How many events a second `ingest` stores: six batches of 50,000 into a database that holds a million.

The events are new, belong to 200 series, and each batch is one transaction with its marks, watermarks and
position, as in production. Making the events is not counted.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from bench.laptop import SETTINGS, private_database
from bench.report import Contender, measure_call, write_report
from vigil.database import Database, connected
from vigil.detection.counting.ingesting import ingest
from vigil.detection.counting.retention import keep_partitions
from vigil.detection.events import Events, microseconds_of
from vigil.detection.sources import Batch
from vigil.windows import now as present

GOAL_EVENTS_PER_S = 80_000
RUNS = 5
BATCHES = 6
EVENTS_PER_BATCH = 50_000
SERIES = tuple(f"series-{number:03d}" for number in range(200))


def batch(seed: int, position: int, now: datetime) -> Batch:
    """Return a batch of events of the last two hours; none of them comes in another batch."""
    generator = np.random.default_rng([seed, position])
    begin = microseconds_of(now - timedelta(hours=2))
    occurred = begin + generator.integers(0, 7_200_000_000, EVENTS_PER_BATCH)
    ids = [f"{seed}-{position}-{number}" for number in range(EVENTS_PER_BATCH)]
    series = generator.integers(0, len(SERIES), EVENTS_PER_BATCH)
    return Batch(Events(SERIES, series, occurred, ids), {"next": position}, watermark=now)


def ingest_all(database: Database, seed: int, now: datetime) -> float:
    batches = [batch(seed, position, now) for position in range(BATCHES)]
    taken_from = None
    with connected(database) as connection:
        started = time.perf_counter()
        for given in batches:
            outcome = ingest(
                connection, f"source-{seed}", given, taken_from, {f"source-{seed}"}, SETTINGS, now
            )
            if outcome.ingested != EVENTS_PER_BATCH:
                raise RuntimeError(f"{outcome} of {EVENTS_PER_BATCH}")
            taken_from = given.position
        return time.perf_counter() - started


def fill(database: Database, now: datetime) -> None:
    """Store a million events, so that the tables are not empty."""
    with connected(database) as connection:
        for position in range(20):
            given = batch(0, position, now)
            before = {"next": position - 1} if position else None
            ingest(connection, "source-0", given, before, {"source-0"}, SETTINGS, now)


def main() -> None:
    now = present()
    with private_database() as database:
        keep_partitions(database, SETTINGS.event_retention, now)
        fill(database, now)
        samples = []
        for seed in range(1, RUNS + 1):
            with connected(database) as connection, connection.cursor() as cursor:
                # One series belongs to one source; each run is a source of its own.
                cursor.execute("UPDATE series SET source = %s", (f"source-{seed}",))
                connection.commit()
            samples.append(measure_call(partial(ingest_all, database, seed, now)))
    ours = Contender(f"ingest of {BATCHES * EVENTS_PER_BATCH} events", samples)
    rate = BATCHES * EVENTS_PER_BATCH / ours.median_s
    write_report(
        "ingest",
        ours,
        None,
        met=rate >= GOAL_EVENTS_PER_S,
        events_per_s=round(rate),
        goal_events_per_s=GOAL_EVENTS_PER_S,
    )


if __name__ == "__main__":
    main()

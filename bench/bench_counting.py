"""How long it takes to count 100,000 new events among five million.

The five million are 1,000 series over 500 windows; the new ones fall into the last ten windows of each
series, so 10,000 windows are recounted, and each recount reads the old events of its window too.
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
from vigil.detection.counting.windows import count_windows
from vigil.detection.events import WINDOW_MICROSECONDS, Events, microseconds_of
from vigil.detection.sources import Batch, Position
from vigil.windows import WINDOW, window_of
from vigil.windows import now as present

GOAL_S = 1.0
RUNS = 5
SERIES = tuple(f"series-{number:04d}" for number in range(1_000))
WINDOWS = 500
OLD_EVENTS = 5_000_000
NEW_EVENTS = 100_000
NEW_WINDOWS = 10
_PER_BATCH = 50_000


def store(database: Database, seed: int, begin: datetime, windows: int, count: int) -> None:
    """Ingest events that are spread evenly over all series and some windows from `begin` on."""
    generator = np.random.default_rng(seed)
    start = microseconds_of(begin)
    with connected(database) as connection:
        for place in range(count // _PER_BATCH):
            # A batch holds some series whole, as a source that is read series by series gives them.
            share = np.arange(place * _PER_BATCH, (place + 1) * _PER_BATCH)
            series = share * len(SERIES) // count
            occurred = start + generator.integers(0, windows * WINDOW_MICROSECONDS, _PER_BATCH)
            ids = [f"{seed}-{number}" for number in share.tolist()]
            before: Position | None = {"seed": seed, "next": place - 1} if place else None
            name = f"source-{seed}"
            given = Batch(Events(SERIES, series, occurred, ids), {"seed": seed, "next": place})
            ingest(connection, name, given, before, {name}, SETTINGS, begin + windows * WINDOW)


def hand_over(database: Database, seed: int) -> None:
    """Let the next source own the series: one series belongs to one source."""
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE series SET source = %s", (f"source-{seed}",))
        connection.commit()


def count(database: Database, now: datetime) -> float:
    started = time.perf_counter()
    outcome = count_windows(database, SETTINGS, now)
    seconds = time.perf_counter() - started
    if outcome.recounted < len(SERIES) * NEW_WINDOWS * 0.99:
        raise RuntimeError(f"{outcome}: too few windows were dirty")
    return seconds


def main() -> None:
    now = present()
    begin = window_of(now) - WINDOWS * WINDOW
    with private_database() as database:
        keep_partitions(database, SETTINGS.event_retention, now)
        store(database, 0, begin, WINDOWS, OLD_EVENTS)
        count_windows(database, SETTINGS, now)
        samples = []
        for seed in range(1, RUNS + 1):
            hand_over(database, seed)
            store(database, seed, window_of(now) - NEW_WINDOWS * WINDOW, NEW_WINDOWS, NEW_EVENTS)
            samples.append(measure_call(partial(count, database, now + timedelta(seconds=seed))))
    ours = Contender("counting 100,000 new events among 5,000,000", samples)
    write_report("counting", ours, None, met=ours.median_s < GOAL_S, goal_s=GOAL_S)


if __name__ == "__main__":
    main()

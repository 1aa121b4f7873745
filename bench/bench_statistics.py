"""How long it takes to draw the daily statistics of 5,000 series with two weeks of counts and expectations.

Each run draws those of the same day anew: read, drawn, written.
"""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

from bench.laptop import private_database
from bench.many_series import ManySeries, rows_read
from bench.report import Contender, measure_call, write_report
from vigil.database import Database, connected
from vigil.detection.expectations.statistics import keep_statistics
from vigil.windows import now, window_of

GOAL_S = 60.0
RUNS = 3
SERIES = 5_000
WINDOWS = 14 * 288


def draw(database: Database, series: ManySeries) -> float:
    """Draw the statistics of the day behind the last window, and return the seconds."""
    started = time.perf_counter()
    with connected(database) as connection:
        drawn = keep_statistics(connection, series.end, anew=True)
    seconds = time.perf_counter() - started
    if drawn != series.number:
        raise RuntimeError(f"statistics of {drawn} series were drawn, not of {series.number}")
    return seconds


def main() -> None:
    midnight = window_of(now()).replace(hour=0, minute=0)
    series = ManySeries(SERIES, WINDOWS, midnight)
    with private_database() as database:
        series.fill(database, live_from=midnight + timedelta(days=1))
        before = rows_read(database)
        samples = [measure_call(partial(draw, database, series)) for _ in range(RUNS)]
        read = rows_read(database) - before
    ours = Contender(f"the statistics of {SERIES} series with two weeks each", samples)
    write_report(
        "statistics",
        ours,
        None,
        met=ours.median_s < GOAL_S,
        goal_s=GOAL_S,
        rows_read_a_series=round(read / RUNS / SERIES, 1),
        windows_a_series=WINDOWS,
    )


if __name__ == "__main__":
    main()

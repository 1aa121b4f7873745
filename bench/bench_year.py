"""A year of one series from the weekly export to a released model on the embedded AWS, less its training job.

The year is 105,120 windows. Our own time is all from the trigger to the success of the run but for the time
between the creation and the end of the training job: scheduling, export, features, transforms, evaluation and
calibration, registry, deployment and verification. The first run has no champion to compare with.
"""

from __future__ import annotations

from bench.many_series import ManySeries
from bench.releases import WEEKLY, release, release_stack
from bench.report import BENCH_DIR, Contender, Sample, write_report
from vigil.windows import WINDOWS_PER_DAY, now, window_of

GOAL_S = 60.0
RUNS = 3
MODEL = "event-counts"
WINDOWS = 365 * WINDOWS_PER_DAY


def main() -> None:
    """Bring up a stack of its own, fill in the year, and release from it."""
    with release_stack(BENCH_DIR / "year-stack", (WEEKLY,)) as stack:
        end = window_of(now())
        ManySeries(1, WINDOWS, end).fill(stack.stack.database, live_from=end)
        releases = [release(stack, MODEL, f"run-{number}") for number in range(RUNS)]
    ours = Contender(
        "a year of one series, exported to released, less its training job",
        [Sample(one.whole_s - one.training_s, 0.0) for one in releases],
    )
    write_report(
        "year",
        ours,
        None,
        met=ours.median_s < GOAL_S,
        goal_s=GOAL_S,
        windows=WINDOWS,
        training_s=[round(one.training_s, 1) for one in releases],
        less_all_jobs_s=[round(one.whole_s - one.jobs_s, 1) for one in releases],
    )


if __name__ == "__main__":
    main()

"""A whole retrain-and-release run of the tabular example on the embedded AWS, less its own jobs.

The jobs' own time is that between the creation and the end of each, counted once where they overlap; all else
is overhead: scheduling, data, evaluation's reading, registry, deployment and verification.
"""

from __future__ import annotations

from bench.releases import RUN_LIMIT_S, WEEKLY, release, release_stack, succeeded
from bench.report import BENCH_DIR, Contender, Sample, write_report
from local_stack.demo.tabular_sample import MODEL, write_tabular_files
from local_stack.dropping import NEW_DATA, DropBox, contents

RUNS = 3
MOST_OVERHEAD_S = 90.0


def main() -> None:
    """Bring up a stack of its own, train once on a dropped file, then measure weekly runs."""
    folder = BENCH_DIR / "release-stack"
    with release_stack(folder, (NEW_DATA, WEEKLY)) as stack:
        box = DropBox(stack.api, stack.aws.client("s3"), stack.bucket)
        box.drop(MODEL, contents(*write_tabular_files(folder)))
        succeeded(stack.api, NEW_DATA, box.run_that_claims(MODEL, RUN_LIMIT_S))
        releases = [release(stack, MODEL, f"run-{number}") for number in range(RUNS)]
    overhead = Contender(
        "retrain and release, less its jobs", [Sample(one.whole_s - one.jobs_s, 0.0) for one in releases]
    )
    write_report(
        "release_run",
        overhead,
        None,
        overhead.median_s < MOST_OVERHEAD_S,
        jobs_s=[round(one.jobs_s, 1) for one in releases],
    )


if __name__ == "__main__":
    main()

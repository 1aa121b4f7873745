"""A whole retrain-and-release run of the tabular example on the embedded AWS, less its own jobs.

The jobs' own time is that between the creation and the end of each, counted once where they overlap; all else
is overhead: scheduling, data, evaluation's reading, registry, deployment and verification.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import Any

from bench.report import BENCH_DIR, Contender, Sample, write_report
from local_stack.airflow import AirflowApi, every
from local_stack.demo.tabular_sample import MODEL, write_tabular_files
from local_stack.dropping import NEW_DATA, DropBox, contents
from local_stack.lifecycle import aws_of, bring_down, start_airflow, start_services
from local_stack.stack import open_stack
from vigil.aws import Aws

RUNS = 3
MOST_OVERHEAD_S = 90.0
_WEEKLY = "retrain_weekly"
_RUN_LIMIT_S = 300
# Of each kind of job: operation, field of the summaries, end.
_JOBS = (
    ("list_training_jobs", "TrainingJobSummaries", "TrainingEndTime"),
    ("list_transform_jobs", "TransformJobSummaries", "TransformEndTime"),
    ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingEndTime"),
)


def main() -> None:
    """Bring up a stack of its own, train once on a dropped file, then measure weekly runs."""
    folder = BENCH_DIR / "release-stack"
    if folder.exists():
        bring_down(open_stack(folder))
        shutil.rmtree(folder)
    stack = open_stack(folder)
    try:
        outputs = start_services(stack, print)
        api = start_airflow(stack, print)
        for _ in every(0.3, 60, "the DAGs"):
            if {NEW_DATA, _WEEKLY} <= api.dag_ids():
                break
        for dag_id in (NEW_DATA, _WEEKLY):
            api.unpause(dag_id)
        aws = aws_of(stack)
        box = DropBox(api, aws.client("s3"), outputs["BucketName"])
        box.drop(MODEL, contents(*write_tabular_files(folder)))
        _succeeded(api, NEW_DATA, box.run_that_claims(MODEL, _RUN_LIMIT_S))
        samples, jobs_s = [], []
        for number in range(RUNS):
            whole_s, own_s = _measure(api, aws, f"run-{number}")
            print(f"{whole_s:.1f} s, of which {own_s:.1f} s are its jobs'")
            samples.append(Sample(whole_s - own_s, 0.0))
            jobs_s.append(round(own_s, 1))
    finally:
        bring_down(stack)
    overhead = Contender("retrain and release, less its jobs", samples)
    write_report("release_run", overhead, None, overhead.median_s < MOST_OVERHEAD_S, jobs_s=jobs_s)


def _measure(api: AirflowApi, aws: Aws, run_id: str) -> tuple[float, float]:
    """Return the seconds of a run from its trigger to its success, and those of its jobs."""
    api.trigger(_WEEKLY, run_id, {"model": MODEL})
    whole_s = _succeeded(api, _WEEKLY, run_id)
    if api.task_states(_WEEKLY, run_id)["verify_deployment"] != "success":
        raise RuntimeError(f"{run_id} released nothing: {api.xcom(_WEEKLY, run_id, 'judge_candidate')}")
    run = api.xcom(_WEEKLY, run_id, "resolve_request")["run"]
    return whole_s, _covered_s([span for kind in _JOBS for span in _spans(aws, run, *kind)])


def _succeeded(api: AirflowApi, dag_id: str, run_id: str) -> float:
    run = api.follow(dag_id, run_id, _RUN_LIMIT_S, lambda _: None, pause_s=0.1)
    if run.state != "success":
        raise RuntimeError(f"{dag_id} {run_id} ended as {run.state}")
    return run.due_to_end_s


def _spans(aws: Aws, run: str, operation: str, field: str, end: str) -> list[tuple[datetime, datetime]]:
    summaries: list[dict[str, Any]] = getattr(aws.client("sagemaker"), operation)(NameContains=run)[field]
    if not summaries:
        raise RuntimeError(f"{operation} knows no job of {run}")
    return [(job["CreationTime"], job[end]) for job in summaries]


def _covered_s(spans: list[tuple[datetime, datetime]]) -> float:
    """Return the seconds that are in any of the spans."""
    covered, until = 0.0, min(start for start, _ in spans)
    for start, end in sorted(spans):
        if end > until:
            covered += (end - max(start, until)).total_seconds()
            until = end
    return covered


if __name__ == "__main__":
    main()

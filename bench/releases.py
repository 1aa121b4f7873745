"""Weekly runs for a benchmark: on a laptop's stack of its own, with what their jobs take."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from local_stack.airflow import AirflowApi, every
from local_stack.lifecycle import aws_of, bring_down, start_airflow, start_services
from local_stack.stack import Stack, open_stack
from vigil.aws import Aws

WEEKLY = "retrain_weekly"
RUN_LIMIT_S = 300
# Of each kind of job: operation, field of the summaries, end.
TRAINING = ("list_training_jobs", "TrainingJobSummaries", "TrainingEndTime")
_JOBS = (
    TRAINING,
    ("list_transform_jobs", "TransformJobSummaries", "TransformEndTime"),
    ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingEndTime"),
)


@dataclass(frozen=True)
class ReleaseStack:
    """A stack whose Airflow releases models.

    Attributes:
        stack: its processes.
        api: of its Airflow.
        aws: clients of its embedded AWS.
        bucket: of the pipeline.
    """

    stack: Stack
    api: AirflowApi
    aws: Aws
    bucket: str


@dataclass(frozen=True)
class Release:
    """What a weekly run took.

    Attributes:
        whole_s: seconds from its trigger to its success.
        jobs_s: those in which any of its jobs ran.
        training_s: those in which its training job ran.
    """

    whole_s: float
    jobs_s: float
    training_s: float


@contextmanager
def release_stack(folder: Path, dag_ids: Collection[str]) -> Iterator[ReleaseStack]:
    """Bring up a stack of its own with some DAGs switched on, and stop it at the end."""
    if folder.exists():
        bring_down(open_stack(folder))
        shutil.rmtree(folder)
    stack = open_stack(folder)
    try:
        outputs = start_services(stack, print)
        api = start_airflow(stack, print)
        for _ in every(0.3, 60, "the DAGs"):
            if set(dag_ids) <= set(api.dag_ids()):
                break
        for dag_id in dag_ids:
            api.unpause(dag_id)
        yield ReleaseStack(stack, api, aws_of(stack), outputs["BucketName"])
    finally:
        bring_down(stack)


def release(on: ReleaseStack, model: str, run_id: str) -> Release:
    """Train and release a model by `retrain_weekly`.

    Raises:
        RuntimeError: nothing was released.
    """
    on.api.trigger(WEEKLY, run_id, {"model": model})
    whole_s = succeeded(on.api, WEEKLY, run_id)
    if on.api.task_states(WEEKLY, run_id)["verify_deployment"] != "success":
        raise RuntimeError(f"{run_id} released nothing: {on.api.xcom(WEEKLY, run_id, 'judge_candidate')}")
    run = on.api.xcom(WEEKLY, run_id, "resolve_request")["run"]
    return Release(
        whole_s,
        covered_s([span for kind in _JOBS for span in _spans(on.aws, run, *kind)]),
        covered_s(_spans(on.aws, run, *TRAINING)),
    )


def succeeded(api: AirflowApi, dag_id: str, run_id: str) -> float:
    """Wait for a run, and return the seconds that it took.

    Raises:
        RuntimeError: it did not succeed.
    """
    run = api.follow(dag_id, run_id, RUN_LIMIT_S, lambda _: None, pause_s=0.1)
    if run.state != "success":
        raise RuntimeError(f"{dag_id} {run_id} ended as {run.state}")
    return run.due_to_end_s


def _spans(aws: Aws, run: str, operation: str, field: str, end: str) -> list[tuple[datetime, datetime]]:
    """Return when the jobs of a kind were created and ended."""
    summaries: list[dict[str, Any]] = getattr(aws.client("sagemaker"), operation)(NameContains=run)[field]
    if not summaries:
        raise RuntimeError(f"{operation} knows no job of {run}")
    return [(job["CreationTime"], job[end]) for job in summaries]


def covered_s(spans: Sequence[tuple[datetime, datetime]]) -> float:
    """Return the seconds that are in any of the spans."""
    covered, until = 0.0, min(start for start, _ in spans)
    for start, end in sorted(spans):
        if end > until:
            covered += (end - max(start, until)).total_seconds()
            until = end
    return covered

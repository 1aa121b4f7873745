"""What training, processing and transform jobs have in common: their course, their stop, their end."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_aws.clients import Clients
from local_aws.files import UnsafePathError
from local_aws.reaper import Reaper
from local_aws.sagemaker.containers import STOP_GRACE_S, Container
from local_aws.sagemaker.errors import JobFailed
from local_aws.sagemaker.store import Record, Store

FINISHED = ("Completed", "Failed", "Stopped")
INTERRUPTED = "ClientError: The embedded AWS was stopped while the job ran"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobKind:
    """How one kind of job names its fields and what its calls say."""

    name: str  # Training, Processing, Transform
    arn_type: str
    log_group: str

    @property
    def status(self) -> str:
        """Name the field of its status."""
        return f"{self.name}JobStatus"


TRAINING = JobKind("Training", "training-job", "/aws/sagemaker/TrainingJobs")
PROCESSING = JobKind("Processing", "processing-job", "/aws/sagemaker/ProcessingJobs")
TRANSFORM = JobKind("Transform", "transform-job", "/aws/sagemaker/TransformJobs")
KINDS = (TRAINING, PROCESSING, TRANSFORM)


class Stopped(Exception):  # noqa: N818 - named for the status it leads to
    """The end of a job that was stopped."""


class RanTooLong(Stopped):
    """The end of a job that reached its StoppingCondition."""


@dataclass
class Job:
    """One running job; its containers end with it."""

    arn: str
    name: str
    kind: JobKind
    region: str
    directory: Path
    store: Store
    clients: Clients
    reaper: Reaper
    _ending: Exception | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _container: Container | None = None

    def record(self) -> Record:
        """Copy the job's record."""
        return self.store.get(self.arn, LookupError(self.arn))

    def change(self, **fields: Any) -> None:
        """Set fields of the job's record."""
        self.store.change(self.arn, **fields)

    def check_stop(self) -> None:
        """Go no further if the job was asked to end."""
        if self._ending:
            raise self._ending

    def start(self, start: Callable[[], Container]) -> Container:
        """Start a container, unless the job was asked to end before."""
        with self._lock:
            self.check_stop()
            self._container = start()
            return self._container

    def finish(self, container: Container, limit_s: float) -> int:
        """Wait for a container's end and give its exit code; at the limit it is ended."""
        if not container.exited.wait(limit_s):
            self.ask_to_end(RanTooLong())
            container.stop()
        self.check_stop()
        return container.exit_code

    def ask_to_end(self, why: Exception) -> None:
        """Make the job end with `why` at its next step; the first reason stands."""
        with self._lock:
            self._ending = self._ending or why

    def stop_container(self) -> None:
        """End what the job runs just now."""
        with self._lock:
            container = self._container
        if container:
            container.stop()


Course = Callable[[Job], None]
End = Callable[[Job, Record], None]


class Engine:
    """Runs jobs, each in a thread, and knows those that run."""

    def __init__(self, store: Store, clients: Clients, reaper: Reaper, directory: Path) -> None:
        self._store = store
        self._clients = clients
        self._reaper = reaper
        self._directory = directory
        self._running: dict[str, tuple[Job, threading.Thread]] = {}

    def run(self, kind: JobKind, arn: str, course: Course, end: End) -> None:
        """Start a job; `course` is what it does, `end` writes its last record."""
        _, _, _, region, _, resource = arn.split(":", 5)
        name = resource.split("/", 1)[1]
        directory = self._directory / kind.arn_type / region / name
        job = Job(arn, name, kind, region, directory, self._store, self._clients, self._reaper)
        thread = threading.Thread(target=self._run, args=(job, course, end), name=arn, daemon=True)
        self._running[arn] = job, thread
        thread.start()

    def stop(self, arn: str) -> None:
        """Ask a job to stop, and end its container in the background."""
        running = self._running.get(arn)
        if running:
            job, _ = running
            job.ask_to_end(Stopped())
            threading.Thread(target=job.stop_container, name=f"stop {arn}", daemon=True).start()

    def interrupt_all(self) -> None:
        """End every job as failed, because the server ends, and wait for it."""
        running = list(self._running.values())
        for job, _ in running:
            job.ask_to_end(JobFailed(INTERRUPTED))
            threading.Thread(target=job.stop_container, daemon=True).start()
        for _, thread in running:
            thread.join(timeout=2 * STOP_GRACE_S)

    def _run(self, job: Job, course: Course, end: End) -> None:
        job.directory.mkdir(parents=True, exist_ok=True)
        outcome = _outcome(job, course)
        shutil.rmtree(job.directory, ignore_errors=True)
        end(job, outcome | {f"{job.kind.name}EndTime": time.time()})
        self._running.pop(job.arn, None)


def _outcome(job: Job, course: Course) -> Record:
    status = job.kind.status
    try:
        course(job)
        job.check_stop()
        return {status: "Completed"}
    except Stopped as stopped:
        return {status: "Stopped", "_timed_out": isinstance(stopped, RanTooLong)}
    except (JobFailed, UnsafePathError) as failure:
        return {status: "Failed", "FailureReason": str(failure)[:1024]}
    except Exception as defect:
        log.exception("The job %s met a defect of the embedded AWS", job.arn)
        return {status: "Failed", "FailureReason": f"InternalServerError: {defect!r}"[:1024]}


def fail_interrupted(store: Store) -> None:
    """Mark the jobs that ran when the server ended as failed."""
    for arn in store.arns():
        kind = next((kind for kind in KINDS if f":{kind.arn_type}/" in arn), None)
        record = store.find(arn)
        if kind and record and record[kind.status] not in FINISHED:
            store.rewrite(arn, lambda record, kind=kind: _fail(record, kind))  # type: ignore[misc]


def _fail(record: Record, kind: JobKind) -> None:
    now = time.time()
    record |= {kind.status: "Failed", "FailureReason": INTERRUPTED, f"{kind.name}EndTime": now}
    if kind is TRAINING:
        enter(record, "Failed", INTERRUPTED)
        record["SecondaryStatusTransitions"][-1]["EndTime"] = now


def enter(record: Record, status: str, message: str) -> None:
    """Let a training job enter a secondary status: the one before it ends now."""
    now = time.time()
    transitions = record.setdefault("SecondaryStatusTransitions", [])
    if transitions:
        transitions[-1].setdefault("EndTime", now)
    transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})
    record["SecondaryStatus"] = status

"""How a launch ended, and what it cost: told from what the instance left on S3, EC2 and CloudFormation."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from botocore.exceptions import ClientError

from vigil.aws import Aws, error_code
from vigil.stacks.deadline import cost_usd
from vigil.stacks.inventory import (
    TrainingInstance,
    TrainingStack,
    failure_reasons,
    find_stack,
    instances_of_launch,
)
from vigil.stacks.launch import Launch

Kind = Literal[
    "completed",
    "powered-off",
    "limit-reached",
    "script-failed",
    "output-lost",
    "maximum-reached",
    "interrupted",
    "deleted",
    "replaced",
    "launch-failed",
    "lost",
]
_SUCCESSES = ("completed", "powered-off", "limit-reached")
# The schedule may be a minute early.
_AROUND_DEADLINE = timedelta(minutes=1)
_AGAIN = "trigger a new run to launch it again"
_OUTCOME = "outcome.json"
_RESULT = "result.json"
_LOG_LINES = 100
_LOG_PARTS = 3
_LOG_END_BYTES = 256 * 1024
_RESULT_LIMIT = 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a launch ended.

    Attributes:
        job: name of it.
        launch: id.
        kind: of end.
        text: one sentence for people.
        exit_status: of the script; negative for a signal, None if it is not known.
        billed_s: seconds that the instance was there.
        limit_usd: cost limit of the configuration, if that is what counted.
        estimate_usd: most that was reckoned with at the launch.
        actual_usd: what it cost, by the price at launch.
        folder: S3 location of script, log, output and result.
    """

    job: str
    launch: str
    kind: Kind
    text: str
    exit_status: int | None
    billed_s: float
    limit_usd: float | None
    estimate_usd: float
    actual_usd: float
    folder: str

    @property
    def succeeded(self) -> bool:
        """Tell whether this is what was asked for."""
        return self.kind in _SUCCESSES

    def lines(self) -> list[str]:
        """Return the outcome for people, most important first."""
        limit = "none" if self.limit_usd is None else f"{self.limit_usd:.4f} USD"
        return [
            f"{self.job}: {self.text}",
            f"Cost: limit {limit}, estimate {self.estimate_usd:.4f} USD, actual {self.actual_usd:.4f} USD "
            f"({self.billed_s:.0f} s).",
            f"Log and output: {self.folder}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as it is kept."""
        return asdict(self)


def kept_outcome(aws: Aws, launch: Launch) -> Outcome | None:
    """Return the outcome that an earlier try of this run has kept; None if none has."""
    content = _read_json(aws, launch, _OUTCOME)
    return Outcome(**content) if content is not None else None


def keep_outcome(aws: Aws, launch: Launch, outcome: Outcome) -> None:
    """Keep an outcome on S3."""
    target = launch.folder / _OUTCOME
    content = json.dumps(outcome.to_json(), indent=2).encode()
    aws.client("s3").put_object(Bucket=target.bucket, Key=target.key, Body=content)


def outcome_of(aws: Aws, launch: Launch, stack_id: str, deadline: datetime, now: datetime) -> Outcome:
    """Find out how a launch ended.

    Args:
        aws: clients.
        launch: that has ended.
        stack_id: of its stack, which may be gone.
        deadline: that the stack had; naive UTC.
        now: present time; naive UTC.
    """
    instances = instances_of_launch(aws.client("ec2"), launch.name, launch.id)
    seen = _Evidence(
        stack_id=stack_id,
        stack=find_stack(aws.client("cloudformation"), stack_id),
        instance=max(instances, key=lambda one: one.launched_at, default=None),
        result=_read_json(aws, launch, _RESULT),
    )
    kind, text = _told(aws, launch, seen, deadline, now)
    billed_s = _billed_s(seen, kind, deadline, now)
    return Outcome(
        job=launch.name,
        launch=launch.id,
        kind=kind,
        text=text,
        exit_status=seen.result["exit_status"] if seen.result else None,
        billed_s=billed_s,
        limit_usd=launch.config.cost_limit if launch.allowance.limited_by == "cost-limit" else None,
        estimate_usd=launch.allowance.estimate_usd(launch.price),
        actual_usd=cost_usd(launch.price, billed_s) if billed_s else 0.0,
        folder=str(launch.folder),
    )


@dataclass(frozen=True)
class _Evidence:
    """What is left to tell an end from."""

    stack_id: str
    stack: TrainingStack | None
    instance: TrainingInstance | None
    result: Mapping[str, Any] | None


def _told(aws: Aws, launch: Launch, seen: _Evidence, deadline: datetime, now: datetime) -> tuple[Kind, str]:
    """Return the kind of end, and a sentence on it."""
    stack, instance, result = seen.stack, seen.instance, seen.result
    if result is not None and not result["output_is_kept"]:
        why = "; ".join(result["errors"][-1:]) or "no reason given"
        return "output-lost", f"the script's output could not all be put on S3: {why}."
    if result is not None and result["ended_by"] == "script":
        return _of_script(result)
    if result is not None and result["ended_by"] == "deadline":
        return _of_deadline(launch, deadline)
    if instance is None and result is None and (reasons := _failures(aws, seen.stack_id)):
        return "launch-failed", f"the stack could not be made. {reasons}."
    ended_at = (instance.ended_at if instance else None) or now
    if ended_at >= deadline - _AROUND_DEADLINE:
        return _of_deadline(launch, deadline)
    if stack is not None and stack.launch != launch.id and not stack.is_gone:
        dag_id, run_id = stack.run
        return "replaced", f"the stack was replaced by {run_id} of {dag_id}."
    if instance is None:
        status = stack.status if stack else "unknown"
        return "deleted", f"somebody deleted the stack ({status}): {_AGAIN}."
    return _of_instance(instance, result)


def _of_instance(instance: TrainingInstance, result: Mapping[str, Any] | None) -> tuple[Kind, str]:
    """Tell of an instance that ended before its deadline and before its script."""
    if "Spot" in instance.reason:
        return "interrupted", f"EC2 took the spot instance away ({instance.reason})."
    if "UserInitiated" in instance.reason:
        return "deleted", f"somebody terminated {instance.id} ({instance.reason}): {_AGAIN}."
    if result is not None:
        return "powered-off", "the script switched the machine off by itself."
    return "lost", (
        f"{instance.id} ended by itself before its deadline and left no result ({instance.reason}): see its "
        "console in the log."
    )


def _of_script(result: Mapping[str, Any]) -> tuple[Kind, str]:
    status = result["exit_status"]
    if status == 0:
        return "completed", f"the script ended well after {result['ran_s']:.0f} s."
    how = f"of signal {-status}" if status < 0 else f"with status {status}"
    return "script-failed", f"the script ended {how} after {result['ran_s']:.0f} s."


def _of_deadline(launch: Launch, deadline: datetime) -> tuple[Kind, str]:
    allowed = launch.allowance
    if allowed.is_asked_for:
        return "limit-reached", f"ended at its {allowed.limited_by}; its deadline was {deadline} UTC."
    return "maximum-reached", (
        f"ended at its hard maximum, before the script did; its deadline was {deadline} UTC. Raise "
        "maximum-hours if it needs longer."
    )


def _failures(aws: Aws, stack_id: str) -> str:
    return "; ".join(failure_reasons(aws.client("cloudformation"), stack_id))


def _billed_s(seen: _Evidence, kind: Kind, deadline: datetime, now: datetime) -> float:
    """Return how long the instance was there; at most, if EC2 has forgotten it, as it does after an hour."""
    if seen.instance is not None:
        return max(((seen.instance.ended_at or now) - seen.instance.launched_at).total_seconds(), 0.0)
    if kind in ("launch-failed", "replaced") or seen.stack is None:
        return 0.0
    return max((min(now, deadline) - seen.stack.created_at).total_seconds(), 0.0)


def last_log_lines(aws: Aws, launch: Launch) -> list[str]:
    """Return the end of what the script printed; of a machine that left no log, the end of its console."""
    s3 = aws.client("s3")
    where = launch.folder / "log/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=where.bucket, Prefix=where.key)
    parts = sorted((item["Key"], item["Size"]) for page in pages for item in page.get("Contents", []))
    lines: list[str] = []
    for key, size in parts[-_LOG_PARTS:]:
        # The instance writes them, of any size; only the end is shown.
        end = {"Range": f"bytes=-{_LOG_END_BYTES}"} if size > _LOG_END_BYTES else {}
        content = s3.get_object(Bucket=where.bucket, Key=key, **end)["Body"].read(_LOG_END_BYTES)
        lines += content.decode(errors="replace").splitlines()
    return lines[-_LOG_LINES:] if parts else _console(aws, launch)


def _console(aws: Aws, launch: Launch) -> list[str]:
    ec2 = aws.client("ec2")
    lines: list[str] = []
    for instance in instances_of_launch(ec2, launch.name, launch.id):
        lines += ec2.get_console_output(InstanceId=instance.id).get("Output", "").splitlines()
    return lines[-_LOG_LINES:]


def _read_json(aws: Aws, launch: Launch, name: str) -> dict[str, Any] | None:
    source = launch.folder / name
    try:
        answer = aws.client("s3").get_object(Bucket=source.bucket, Key=source.key)
    except ClientError as error:
        if error_code(error) == "NoSuchKey":
            return None
        raise
    text = answer["Body"].read(_RESULT_LIMIT + 1)
    try:
        content = json.loads(text) if len(text) <= _RESULT_LIMIT else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        log.warning("%s is nothing that the runner writes: it is taken as not there", source)
        return None
    return content

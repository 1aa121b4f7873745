"""SageMaker's jobs - training, processing, transform - started at most once, and never mistaken for done.

A job's name follows from what it is to do, so whoever comes second finds the job of the first and adopts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from vigil.aws import NAME_LIMIT, error_code, error_message
from vigil.errors import CloudError

_MOST_ATTEMPTS = 20
_LOG_LINES = 60


@dataclass(frozen=True)
class JobKind:
    """Names what differs between the kinds of jobs in SageMaker's API.

    Attributes:
        noun: as a person says it.
        api_name: part of the operations' names, as in `create_training_job`.
        name_field: field of the job's name.
        status_field: field of its status.
        log_group: where its containers log.
    """

    noun: str
    api_name: str
    name_field: str
    status_field: str
    log_group: str


TRAINING = JobKind(
    "training job", "training_job", "TrainingJobName", "TrainingJobStatus", "/aws/sagemaker/TrainingJobs"
)
PROCESSING = JobKind(
    "processing job",
    "processing_job",
    "ProcessingJobName",
    "ProcessingJobStatus",
    "/aws/sagemaker/ProcessingJobs",
)
TRANSFORM = JobKind(
    "transform job", "transform_job", "TransformJobName", "TransformJobStatus", "/aws/sagemaker/TransformJobs"
)
KINDS = {kind.api_name: kind for kind in (TRAINING, PROCESSING, TRANSFORM)}

RUNNING = ("InProgress", "Stopping")

_THROTTLED = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded")
# These say that a try with the same input may go better; any other failure would only be paid for again.
_PASSING_FAILURES = ("InternalServerError", "CapacityError", "InsufficientInstanceCapacity")


class JobFailedError(CloudError):
    """A job ended without doing what it was to do.

    Attributes:
        worth_a_retry: tells whether a try with the same input may go better.
    """

    def __init__(self, message: str, *, worth_a_retry: bool) -> None:
        super().__init__(message)
        self.worth_a_retry = worth_a_retry


def encrypted(key: str | None) -> dict[str, str]:
    """Return what has a job's output encrypted with a key; without it SageMaker takes the account's of S3."""
    return {"KmsKeyId": key} if key else {}


def may_pass(error: ClientError | BotoCoreError) -> bool:
    """Tell whether the same question may be answered in a while: nothing is given up for a moment's trouble.

    So it is when AWS asks for patience or has a fault of its own, and when it cannot be reached.
    """
    if isinstance(error, BotoCoreError):
        return True
    is_fault = error.response["ResponseMetadata"]["HTTPStatusCode"] >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_fault or error_code(error) in _THROTTLED


def describe(client: Any, kind: JobKind, name: str) -> dict[str, Any] | None:
    """Return a job's description, or None when there is no such job."""
    try:
        description: dict[str, Any] = getattr(client, f"describe_{kind.api_name}")(**{kind.name_field: name})
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return description


def is_missing(error: ClientError) -> bool:
    """Tell whether SageMaker says that what was asked for does not exist."""
    if error_code(error) == "ResourceNotFound":
        return True
    text = error_message(error).lower()
    return error_code(error) == "ValidationException" and ("could not find" in text or "not found" in text)


def start_or_adopt(client: Any, kind: JobKind, request: dict[str, Any]) -> str:
    """Start a job, unless one that does or did the same is there; return the name of the one that counts.

    A job that failed or was stopped does not count: the next attempt gets the name with `-r2`, `-r3` and so
    on at its end, because SageMaker never frees a name.

    Args:
        client: of SageMaker.
        kind: of job.
        request: of the create operation, its name included.

    Raises:
        CloudError: all attempts have been used up.
    """
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        name = _name_of_attempt(request[kind.name_field], attempt)
        description = describe(client, kind, name)
        if description is None:
            try:
                getattr(client, f"create_{kind.api_name}")(**{**request, kind.name_field: name})
            except ClientError as error:
                if error_code(error) != "ResourceInUse":
                    raise
                # Somebody else started it since we looked.
                description = describe(client, kind, name)
            else:
                return name
        if description and description[kind.status_field] in ("InProgress", "Completed"):
            return name
    raise CloudError(
        f"The {kind.noun} {request[kind.name_field]} failed {_MOST_ATTEMPTS} times: see its FailureReason, "
        "and trigger a new run once the cause is gone."
    )


def _name_of_attempt(name: str, attempt: int) -> str:
    if attempt == 1:
        return name
    suffix = f"-r{attempt}"
    return name[: NAME_LIMIT - len(suffix)].rstrip("-") + suffix


def create_unless_it_exists(create: Callable[..., Any], request: Mapping[str, Any]) -> None:
    """Create something whose name follows from its content, so that what exists is the same.

    Args:
        create: method of a client, as `client.create_model`.
        request: its parameters.
    """
    try:
        create(**request)
    except ClientError as error:
        if "already exist" not in error_message(error).lower():
            raise


def stop(client: Any, kind: JobKind, name: str) -> bool:
    """Stop a job; return whether there was anything to stop."""
    description = describe(client, kind, name)
    if description is None or description[kind.status_field] not in RUNNING:
        return False
    try:
        getattr(client, f"stop_{kind.api_name}")(**{kind.name_field: name})
    except ClientError as error:
        # It may end by itself between the two calls; then AWS refuses to stop it.
        after = describe(client, kind, name)
        if after is None or after[kind.status_field] in RUNNING:
            raise error
        return False
    return True


def stop_all_attempts(client: Any, kind: JobKind, name: str) -> None:
    """Stop whichever attempt at a job runs; `name` is that of the first."""
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        name_of_attempt = _name_of_attempt(name, attempt)
        if describe(client, kind, name_of_attempt) is None:
            return
        stop(client, kind, name_of_attempt)


def result_of(kind: JobKind, description: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a job that completed.

    Raises:
        JobFailedError: the job failed or was stopped; the message says why, as far as SageMaker tells.
    """
    name, status = description[kind.name_field], description[kind.status_field]
    if status == "Completed":
        return description
    reason = str(
        description.get("FailureReason")
        or description.get("ExitMessage")
        or description.get("SecondaryStatus")
        or "SageMaker gives no reason"
    )
    raise JobFailedError(
        f"The {kind.noun} {name} ended as {status}: {reason}. "
        f"Its log is in CloudWatch, group {kind.log_group}.",
        worth_a_retry=any(passing in reason for passing in _PASSING_FAILURES),
    )


def last_log_lines(logs: Any, kind: JobKind, name: str) -> list[str]:
    """Return the end of what a job's containers logged; empty when nothing was."""
    try:
        streams = logs.describe_log_streams(logGroupName=kind.log_group, logStreamNamePrefix=f"{name}/")
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return []
        raise
    lines = []
    for stream in streams["logStreams"]:
        events = logs.get_log_events(
            logGroupName=kind.log_group,
            logStreamName=stream["logStreamName"],
            limit=_LOG_LINES,
            startFromHead=False,
        )
        lines += [str(event["message"]).rstrip() for event in events["events"]]
    return lines

"""The errors an AWS call ends with, in the cloud's codes and words."""

from __future__ import annotations


class AwsError(Exception):
    """An answer that is an error: its code, message and HTTP status go to the caller as they are."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> AwsError:
    """Refuse a request the way SageMaker does for nearly everything."""
    return AwsError("ValidationException", message)


def in_use(message: str) -> AwsError:
    """Refuse a name that is taken."""
    return AwsError("ResourceInUse", message)


def not_found(message: str) -> AwsError:
    """Refuse to stop or change what does not exist."""
    return AwsError("ResourceNotFound", message)


class JobFailed(Exception):  # noqa: N818 - named for the status it leads to
    """The end of a job that did not work; the text becomes its FailureReason."""


def client_error(message: str) -> JobFailed:
    """Blame the caller's input, as the cloud does with this prefix."""
    return JobFailed(f"ClientError: {message}")


def algorithm_error(message: str) -> JobFailed:
    """Blame the container, as the cloud does with this prefix."""
    return JobFailed(f"AlgorithmError: {message}")

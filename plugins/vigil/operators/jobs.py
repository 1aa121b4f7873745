"""The base of operators that run one SageMaker job: adopt, wait, stop, and show the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from vigil.operators.environment import load_settings, open_aws
from vigil.operators.job_trigger import SageMakerJobTrigger
from vigil.sagemaker_jobs import (
    JobFailedError,
    JobKind,
    describe,
    last_log_lines,
    result_of,
    start_or_adopt,
    stop_all_attempts,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

# What provisioning, download and upload may take beyond the job's own maximum run time.
_SLACK_S = 30 * 60


class SageMakerJobOperator(BaseOperator):
    """Run one job of SageMaker and return what its subclass makes of it.

    A retry adopts the job of the first try; killing the task stops the job, whether a worker or the triggerer
    holds it; a stopped job is a failure.
    """

    kind: JobKind

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._first_name: str | None = None

    def job_request(self, context: Context) -> dict[str, Any]:
        """Return the request that creates the job; called on a worker."""
        raise TypeError(f"{type(self).__name__} does not say what its job is to do.")

    def longest_run_s(self, context: Context, request: dict[str, Any]) -> float:
        """Return the seconds after which the job is stopped from outside, if it has not stopped by itself."""
        return float(request["StoppingCondition"]["MaxRuntimeInSeconds"])

    def result(self, context: Context, description: dict[str, Any]) -> Any:
        """Return what the task returns, from the description of the completed job."""
        return {"job_name": description[self.kind.name_field]}

    def execute(self, context: Context) -> Any:
        """Start or adopt the job, and leave the worker until it has ended."""
        settings = load_settings()
        aws = open_aws(settings)
        request = self.job_request(context)
        # Known before the job is: a kill that falls between the two still finds what to stop.
        self._first_name = request[self.kind.name_field]
        job_name = start_or_adopt(aws.client("sagemaker"), self.kind, request)
        self.log.info("The %s %s is running or has run", self.kind.noun, job_name)
        self.defer(
            trigger=SageMakerJobTrigger(
                kind=self.kind.api_name,
                job_name=job_name,
                aws_conn_id=settings.aws_conn_id,
                poll_s=settings.poll_interval_s,
                deadline=time.time() + self.longest_run_s(context, request) + _SLACK_S,
            ),
            method_name="resume",
        )

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Show the end of the job's log, and return its result or say why there is none."""
        aws = open_aws(load_settings())
        name = event["job_name"]
        for line in last_log_lines(aws.client("logs"), self.kind, name):
            self.log.info("%s | %s", name, line)
        if event["status"] == "TimedOut":
            raise AirflowFailException(f"The {self.kind.noun} {name} was stopped: it ran past its deadline.")
        description = describe(aws.client("sagemaker"), self.kind, name)
        if description is None:
            raise AirflowFailException(f"The {self.kind.noun} {name} is gone: somebody deleted it.")
        try:
            return self.result(context, result_of(self.kind, description))
        except JobFailedError as failure:
            if failure.worth_a_retry:
                raise
            raise AirflowFailException(str(failure)) from failure

    def on_kill(self) -> None:
        """Stop the job: the task was killed while a worker held it."""
        if self._first_name is not None:
            stop_all_attempts(open_aws(load_settings()).client("sagemaker"), self.kind, self._first_name)

"""Operators of the release domain, in the order in which a run needs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import ClientError

from vigil.operators.environment import open_database
from vigil.operators.training import longest_judgement, open_run
from vigil.sagemaker_jobs import is_missing, is_throttling

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.operators.training import OpenRun
    from vigil.release.deployment import Deployment
    from vigil.release.registry import RegisteredModel

_LONGEST_DEPLOYMENT = timedelta(hours=2)
# Waiting for a deletion or for somebody else's update comes before the deployment itself.
_MOST_ROUNDS = 4


class TakeReleaseLeaseSensor(BaseSensorOperator):
    """Wait until no other run releases to the endpoint, then hold it; return who is the champion.

    Whoever waited is judged against the champion of now, not of when its run began.

    Args:
        model: name of the model spec (templated).
    """

    template_fields = ("model",)

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", **kwargs)
        self.model = model

    def poke(self, context: Context) -> PokeReturnValue:
        """Try to take the lease."""
        from vigil.database import connected, in_transaction
        from vigil.release.leases import take_lease
        from vigil.released_models import champion

        opened = open_run(context, self.model)
        endpoint, holder = opened.spec.endpoint.name, opened.run.run
        with connected(open_database(opened.settings)) as connection:
            lease = take_lease(connection, endpoint, holder, longest_judgement(opened.spec))
            if lease.holder != holder:
                self.log.info(
                    "%s is releasing to %s, at most until %s", lease.holder, endpoint, lease.expires_at
                )
                return PokeReturnValue(is_done=False)
            serving = in_transaction(connection, lambda cursor: champion(cursor, self.model))
        version = serving.model_version if serving else None
        self.log.info("The champion is %s", version or "nobody yet")
        return PokeReturnValue(is_done=True, xcom_value=version)


class GiveBackReleaseLeaseOperator(BaseOperator):
    """Let the next release go on, whatever came of this one.

    Args:
        model: name of the model spec (templated).
    """

    template_fields = ("model",)

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: Context) -> None:
        """Give the lease back; one that is somebody else's by now stays theirs."""
        from vigil.database import connected
        from vigil.release.leases import give_back_lease

        opened = open_run(context, self.model)
        with connected(open_database(opened.settings)) as connection:
            give_back_lease(connection, opened.spec.endpoint.name, opened.run.run)


class RegisterModelOperator(BaseOperator):
    """Register the candidate, approved or rejected, and return the version.

    Args:
        model: name of the model spec (templated).
        dataset: its description (templated).
        training: as the training returned it (templated).
        evaluation: as the evaluation returned it (templated).
        decision: of the gate (templated).
    """

    template_fields = ("model", "dataset", "training", "evaluation", "decision")

    def __init__(
        self, *, model: str, dataset: Any, training: Any, evaluation: Any, decision: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.dataset = dataset
        self.training = training
        self.evaluation = evaluation
        self.decision = decision

    def execute(self, context: Context) -> dict[str, Any]:
        """Register once, however often this is called."""
        from vigil.aws import S3Location
        from vigil.release.registry import Candidate, register
        from vigil.training.dataset import SCHEMA
        from vigil.training.evaluation import BAND, EVALUATION

        opened = open_run(context, self.model)
        evaluation = S3Location.parse(self.evaluation["location"])
        candidate = Candidate(
            image=self.training["image"],
            model_data_url=self.training["model_data_url"],
            training_job=self.training["training_job"],
            dataset=S3Location.parse(self.dataset["location"]) / SCHEMA,
            manifest=S3Location.parse(self.dataset["manifest"]),
            evaluation=evaluation / EVALUATION,
            band=evaluation / BAND,
            run=opened.run.run,
        )
        registered = register(
            opened.aws.client("sagemaker"),
            self.model,
            candidate,
            approved=self.decision["passed"],
            reasons=self.decision["reasons"] or ["Every gate was passed."],
            tags=opened.run.tags,
        )
        self.log.info("%s is %s", registered.model_version, registered.approval)
        return {
            "model_version": registered.model_version,
            "model_package_arn": registered.model_package_arn,
            "approval": registered.approval,
        }


class DeployModelOperator(BaseOperator):
    """Move the endpoint to an approved version; skipped when the version was rejected.

    Args:
        model: name of the model spec (templated).
        registered: as the registration returned it (templated).
    """

    template_fields = ("model", "registered")

    def __init__(self, *, model: str, registered: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.registered = registered

    def execute(self, context: Context) -> dict[str, Any]:
        """Begin, or go on with what an earlier try began."""
        if self.registered["approval"] != "Approved":
            raise AirflowSkipException(
                f"{self.registered['model_version']} was rejected: nothing is deployed."
            )
        return self._deploy(context, round_number=1)

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Look at the endpoint, which stands still now, and go on."""
        from vigil.database import connected
        from vigil.release.deployment import State, deployment_state, mark_failed

        if event["timed_out"]:
            raise AirflowFailException(f"The endpoint was in motion for longer than {_LONGEST_DEPLOYMENT}.")
        opened = open_run(context, self.model)
        deployment = self._plan(opened)
        found = deployment_state(opened.aws.client("sagemaker"), deployment)
        self.log.info("%s: %s", deployment.model_version, found.detail)
        if found.state is State.SERVING:
            return deployment.to_json()
        if event["moved"] or event["round_number"] == _MOST_ROUNDS:
            with connected(open_database(opened.settings)) as connection:
                mark_failed(connection, deployment)
            raise AirflowFailException(
                f"{deployment.model_version} was not taken into service: {found.detail}"
            )
        return self._deploy(context, event["round_number"] + 1)

    def _deploy(self, context: Context, round_number: int) -> dict[str, Any]:
        from vigil.aws import S3Location
        from vigil.database import connected
        from vigil.release.deployment import State, start_deployment
        from vigil.release.leases import renew_lease
        from vigil.training.evaluation import read_evaluation

        opened = open_run(context, self.model)
        deployment = self._plan(opened)
        evaluation = S3Location.parse(self._registered(opened).evaluation).parent
        content, band = read_evaluation(opened.aws.client("s3"), evaluation)
        with connected(open_database(opened.settings)) as connection:
            # From here on the endpoint is moved: not without the lease.
            renew_lease(connection, deployment.endpoint, opened.run.run, _LONGEST_DEPLOYMENT)
            found = start_deployment(
                connection,
                opened.aws.client("sagemaker"),
                deployment,
                band=band,
                metrics=content["candidate"]["metrics"],
                role=opened.settings.sagemaker_role_arn,
                tags=opened.run.tags,
            )
        self.log.info("%s: %s", deployment.model_version, found.detail)
        if found.state is not State.SERVING:
            self.defer(
                trigger=EndpointTrigger(
                    endpoint=deployment.endpoint,
                    aws_conn_id=opened.settings.aws_conn_id,
                    poll_s=opened.settings.poll_interval_s,
                    deadline=time.time() + _LONGEST_DEPLOYMENT.total_seconds(),
                    round_number=round_number,
                    moved=found.state is State.MOVING,
                ),
                method_name="resume",
            )
        return deployment.to_json()

    def _registered(self, opened: OpenRun) -> RegisteredModel:
        from vigil.release.registry import registered_model

        return registered_model(opened.aws.client("sagemaker"), self.registered["model_package_arn"])

    def _plan(self, opened: OpenRun) -> Deployment:
        from vigil.release.deployment import plan_deployment

        return plan_deployment(
            self._registered(opened),
            model=self.model,
            endpoint=opened.spec.endpoint.name,
            hosting=opened.spec.endpoint.hosting,
        )


class VerifyDeploymentOperator(BaseOperator):
    """Make sure that the endpoint serves the new artifact and answers, then call it the champion.

    Args:
        model: name of the model spec (templated).
        deployment: as the deployment returned it (templated).
    """

    template_fields = ("model", "deployment")

    def __init__(self, *, model: str, deployment: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.deployment = deployment

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify and promote."""
        from vigil.database import connected
        from vigil.features import FEATURE_NAMES
        from vigil.release.deployment import Deployment, DeploymentFailedError, mark_failed, promote
        from vigil.release.verification import verify_deployment

        opened = open_run(context, self.model)
        deployment = Deployment.from_json(self.deployment)
        with connected(open_database(opened.settings)) as connection:
            try:
                verified = verify_deployment(
                    opened.aws.client("sagemaker"),
                    opened.aws.client("sagemaker-runtime"),
                    deployment,
                    [[0.0] * len(FEATURE_NAMES)],
                )
            except DeploymentFailedError:
                mark_failed(connection, deployment)
                raise
            promote(connection, deployment)
        self.log.info("%s is the champion and serves %s", deployment.model_version, verified.model_data_url)
        return {
            "model_version": deployment.model_version,
            "endpoint": deployment.endpoint,
            "model_data_url": verified.model_data_url,
        }


class EndpointTrigger(BaseTrigger):
    """Fires once an endpoint stands still, whatever it serves then.

    Args:
        endpoint: its name.
        aws_conn_id: Airflow connection of the AWS account.
        poll_s: seconds between two looks.
        deadline: seconds since the epoch; the same after a restart of the triggerer.
        round_number: how often the operator has begun; handed back with the event.
        moved: whether the operator itself set the endpoint in motion; handed back with the event.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        aws_conn_id: str,
        poll_s: float,
        deadline: float,
        round_number: int,
        moved: bool,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow types only part of itself
        self.endpoint = endpoint
        self.aws_conn_id = aws_conn_id
        self.poll_s = poll_s
        self.deadline = deadline
        self.round_number = round_number
        self.moved = moved

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what a triggerer needs to build this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "endpoint": self.endpoint,
                "aws_conn_id": self.aws_conn_id,
                "poll_s": self.poll_s,
                "deadline": self.deadline,
                "round_number": self.round_number,
                "moved": self.moved,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the endpoint until it is no longer in motion."""
        hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=self.aws_conn_id, client_type="sagemaker")
        timed_out = False
        async with await hook.get_async_conn() as client:
            while not timed_out and await self._in_motion(client):
                await asyncio.sleep(self.poll_s)
                timed_out = time.time() > self.deadline
        yield TriggerEvent({"timed_out": timed_out, "round_number": self.round_number, "moved": self.moved})

    async def _in_motion(self, client: Any) -> bool:
        try:
            endpoint = await client.describe_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if is_missing(error):
                return False
            if is_throttling(error):
                self.log.warning("AWS asks for patience with %s", self.endpoint)
                return True
            raise
        return endpoint["EndpointStatus"] not in (
            "InService",
            "Failed",
            "OutOfService",
            "UpdateRollbackFailed",
        )

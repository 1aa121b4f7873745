"""Tasks of the release domain, in the order in which a run needs them."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, task
from airflow.sdk.exceptions import AirflowFailException

from vigil.operators.endpoint_trigger import EndpointTrigger
from vigil.operators.environment import open_database
from vigil.operators.open_run import open_run
from vigil.operators.training import released_version

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.operators.open_run import OpenRun
    from vigil.release.deployment import Deployment
    from vigil.release.registry import RegisteredModel
    from vigil.release.shifting import Shifting

log = logging.getLogger(__name__)

# Beyond what the model spec allows the traffic to shift: machines must come first.
_SLACK = timedelta(hours=1)
# Waiting for a deletion or for somebody else's update comes before the deployment itself.
_MOST_ROUNDS = 4


@task
def register_candidate(
    request: Any,
    dataset: Any,
    training: Any,
    evaluation: Any,
    decision: Any,
    report: Any,
) -> dict[str, Any]:
    """Register the candidate once, passed or rejected, and return the version."""
    from vigil.aws import S3Location
    from vigil.operators.telling import tell
    from vigil.release.registry import Candidate, register
    from vigil.training.dataset import SCHEMA, Dataset
    from vigil.training.evaluation.job import BAND, EVALUATION
    from vigil.training.evaluation.known_answers import SMOKE_TEST, save_smoke_test, smoke_test_of

    opened = open_run(request)
    described = Dataset.from_json(dataset)
    place = S3Location.parse(evaluation["location"])
    smoke_test = opened.run.root / SMOKE_TEST
    save_smoke_test(opened.s3, smoke_test, smoke_test_of(opened.s3, opened.run, described))
    candidate = Candidate(
        image=training["image"],
        model_data_url=training["model_data_url"],
        training_job=training["training_job"],
        dataset=described.location / SCHEMA,
        manifest=described.manifest,
        evaluation=place / EVALUATION,
        band=place / BAND if opened.spec.objective == "regression" else None,
        smoke_test=smoke_test,
        report=S3Location.parse(report["location"]),
        metrics=decision["metrics"],
        run=opened.run.run,
    )
    by_person = opened.spec.approval.by == "person"
    registered = register(
        opened.sagemaker,
        opened.run.model,
        candidate,
        approved=None if decision["passed"] and by_person else decision["passed"],
        reasons=decision["reasons"] or ["Every gate was passed."],
        tags=opened.run.tags,
    )
    log.info("%s is %s", registered.model_version, registered.approval)
    if not decision["passed"]:
        reasons = "\n".join(f"- {reason}" for reason in decision["reasons"])
        tell(
            opened,
            "candidate-rejected",
            f"{registered.model_version} was rejected by the gates.\n{reasons}\nReport: {report['location']}",
        )
    return {
        "model_version": registered.model_version,
        "model_package_arn": registered.model_package_arn,
        "approval": registered.approval,
    }


class DeployModelOperator(BaseOperator):
    """Move the endpoint to an approved version, and come back when it stands still.

    Args:
        request: the resolved request (templated).
        approved: the version (templated).
    """

    template_fields = ("request", "approved")

    def __init__(self, *, request: Any, approved: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request = request
        self.approved = approved

    def execute(self, context: Context) -> dict[str, Any]:
        """Begin, or go on with what an earlier try began."""
        return self._deploy(open_run(self.request), round_number=1)

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Look at the endpoint, which stands still now, and go on."""
        from vigil.database import connected
        from vigil.release.deployment import State, deployment_state, mark_failed

        if event["timed_out"]:
            raise AirflowFailException(
                "The endpoint was in motion for longer than shifting.longest_s and an hour."
            )
        opened = open_run(self.request)
        deployment = self._plan(opened)
        found = deployment_state(opened.sagemaker, deployment)
        log.info("%s: %s", deployment.model_version, found.detail)
        if found.state is State.SERVING:
            return deployment.to_json()
        if event["moved"] or event["round_number"] == _MOST_ROUNDS:
            with connected(open_database(opened.settings)) as connection:
                mark_failed(connection, opened.sagemaker, deployment, found.detail)
            raise AirflowFailException(
                f"{deployment.model_version} was not taken into service: {found.detail}"
            )
        return self._deploy(opened, event["round_number"] + 1)

    def _deploy(self, opened: OpenRun, round_number: int) -> dict[str, Any]:
        from vigil.database import connected
        from vigil.release.deployment import State, deployment_state, start_deployment
        from vigil.release.leases import renew_lease
        from vigil.release.shifting import check_alarms

        deployment = self._plan(opened)
        if deployment_state(opened.sagemaker, deployment).state is State.ELSEWHERE:
            check_alarms(opened.aws.client("cloudwatch"), _shifting(opened))
        longest = timedelta(seconds=opened.spec.endpoint.shifting.longest_s) + _SLACK
        with connected(open_database(opened.settings)) as connection:
            # From here on the endpoint is moved: not without the lease.
            renew_lease(connection, deployment.endpoint, opened.run.run, longest)
            found = start_deployment(
                connection,
                opened.sagemaker,
                deployment,
                **_kept_with(opened, self._registered(opened)),
                role=opened.settings.sagemaker_role_arn,
                tags=opened.run.tags,
            )
        log.info("%s: %s", deployment.model_version, found.detail)
        if found.state is not State.SERVING:
            self.defer(
                trigger=EndpointTrigger(
                    endpoint=deployment.endpoint,
                    aws_conn_id=opened.settings.aws_conn_id,
                    poll_s=opened.settings.poll_interval_s,
                    deadline=time.time() + longest.total_seconds(),
                    round_number=round_number,
                    moved=found.state is State.MOVING,
                ),
                method_name="resume",
            )
        return deployment.to_json()

    def _registered(self, opened: OpenRun) -> RegisteredModel:
        from vigil.release.registry import registered_model

        return registered_model(opened.sagemaker, self.approved["model_package_arn"])

    def _plan(self, opened: OpenRun) -> Deployment:
        from vigil.release.deployment import plan_deployment

        endpoint = opened.spec.endpoint
        return plan_deployment(
            self._registered(opened),
            model=opened.run.model,
            endpoint=endpoint.name,
            hosting=endpoint.hosting,
            shifting=_shifting(opened),
            due_at=opened.request.due_at,
        )


def _shifting(opened: OpenRun) -> Shifting:
    from vigil.release.shifting import Shifting

    return Shifting(**opened.spec.endpoint.shifting.model_dump())


def _kept_with(opened: OpenRun, registered: RegisteredModel) -> dict[str, Any]:
    """Return what was written down of a version when it was registered."""
    from vigil.aws import S3Location
    from vigil.training.evaluation.job import read_evaluation, released_metrics
    from vigil.training.evaluation.known_answers import read_smoke_test

    content, band = read_evaluation(opened.s3, S3Location.parse(registered.evaluation).parent)
    smoke_test = registered.smoke_test
    return {
        "band": band,
        "metrics": released_metrics(content),
        "smoke_test": read_smoke_test(opened.s3, S3Location.parse(smoke_test)) if smoke_test else None,
    }


@task
def verify_deployment(request: Any, deployment: Any) -> dict[str, Any]:
    """Make sure that the endpoint serves the new artifact and gives known answers; crown it.

    Raises:
        AirflowFailException: it does not; the endpoint goes back to the champion.
    """
    from vigil.database import connected, in_transaction
    from vigil.operators.telling import tell
    from vigil.release.deployment import (
        Deployment,
        DeploymentFailedError,
        mark_failed,
        move_back,
        promote,
    )
    from vigil.release.verification import verify_deployment
    from vigil.released_models import champion

    opened = open_run(request)
    planned = Deployment.from_json(deployment)
    written_down = released_version(opened, planned.model_version)
    with connected(open_database(opened.settings)) as connection:
        try:
            verified = verify_deployment(
                opened.sagemaker,
                opened.aws.client("sagemaker-runtime"),
                planned,
                written_down.smoke_test if written_down else None,
            )
        except DeploymentFailedError as failure:
            mark_failed(connection, opened.sagemaker, planned, str(failure))
            serving = in_transaction(connection, lambda cursor: champion(cursor, opened.run.model))
            if serving and move_back(opened.sagemaker, planned, serving.endpoint_config):
                log.warning("%s goes back to %s", planned.endpoint, serving.model_version)
            # Asked again, the endpoint would only say that it serves the version before.
            raise AirflowFailException(str(failure)) from failure
        promote(connection, planned)
    tell(
        opened,
        "deployed",
        f"{planned.model_version} serves from {planned.endpoint}.\nArtifact: {verified.model_data_url}",
        about=planned.model_version,
    )
    return {
        "model_version": planned.model_version,
        "endpoint": planned.endpoint,
        "model_data_url": verified.model_data_url,
    }


@task
def remove_old_releases(request: Any) -> list[str]:
    """Remove configurations and models of releases that ended long ago; return their names."""
    from vigil.database import connected
    from vigil.release.retention import remove_old_releases
    from vigil.windows import now

    opened = open_run(request)
    with connected(open_database(opened.settings)) as connection:
        removed = remove_old_releases(
            connection,
            opened.sagemaker,
            opened.run.model,
            opened.spec.endpoint.keep_days,
            now(),
        )
    for name in removed:
        log.info("Removed %s", name)
    return list(removed)

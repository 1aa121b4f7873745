"""Tasks of `roll_back_model`."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigil.operators.environment import load_settings, open_database, run_moment
from vigil.operators.leases import TakeReleaseLeaseSensor, give_back_release_lease
from vigil.operators.open_run import open_run
from vigil.operators.release import DeployModelOperator, verify_deployment
from vigil.operators.requests import name_of_run
from vigil.operators.telling import tell_of_failure
from vigil.operators.training import released_version

if TYPE_CHECKING:
    from vigil.operators.open_run import OpenRun
    from vigil.released_models import ReleasedModel

log = logging.getLogger(__name__)


def roll_back() -> None:
    """Wire the tasks from the choice of the version to the verified roll-back."""
    request = request_roll_back("{{ params.model }}")
    chosen = choose_version(request)
    lease = TakeLeaseToRollBackSensor(
        task_id="take_release_lease",
        request=request,
        chosen=chosen,
        poke_interval=10,
        timeout=timedelta(hours=2).total_seconds(),
    )
    deploy = DeployModelOperator(task_id="deploy", request=request, approved=lease.output)
    verified = verify_deployment(request, deploy.output)
    left = leave_version(request, chosen)
    give_back = give_back_release_lease(request).as_teardown()
    told = tell_of_failure(request, kind="roll-back-failed").as_teardown()
    verified >> left >> [give_back, told]


@task
def request_roll_back(model: str) -> dict[str, Any]:
    """Name everything that the roll-back makes, by the model spec as it is now.

    The way back is all at once and no alarm holds it up: the model that is left may have set it off.
    """
    from vigil.training.request import plan_run
    from vigil.training.resolving import TrainingRequest
    from vigil.training.spec.endpoint import Shifting
    from vigil.training.spec.model import load_model_spec

    context = get_current_context()
    spec, due_at, dag_run = load_model_spec(model), run_moment(context), name_of_run(context)
    spec = spec.model_copy(update={"endpoint": spec.endpoint.model_copy(update={"shifting": Shifting()})})
    run = plan_run(spec, dag_run, due_at, load_settings().bucket)
    return TrainingRequest(run, spec, {}, due_at, dag_run).to_json()


@task
def choose_version(request: Any) -> dict[str, Any]:
    """Return the version that comes back and the one that is left.

    Raises:
        AirflowSkipException: it is a dry run.
    """
    from vigil.database import connected, in_transaction
    from vigil.release.rollback import choose_version
    from vigil.released_models import champion

    context = get_current_context()
    opened = open_run(request)
    with connected(open_database(opened.settings)) as connection:
        serving = in_transaction(connection, lambda cursor: champion(cursor, opened.run.model))
        chosen = choose_version(connection, opened.sagemaker, opened.run.model, context["params"]["version"])
    leaves = serving.model_version if serving else None
    log.info("%s comes back in place of %s", chosen.model_version, leaves)
    if context["params"]["dry_run"]:
        raise AirflowSkipException(f"A dry run: {chosen.model_version} would come back, {leaves} would go.")
    return {
        "model_version": chosen.model_version,
        "model_package_arn": chosen.model_package_arn,
        "approval": chosen.approval,
        "leaves": leaves,
    }


class TakeLeaseToRollBackSensor(TakeReleaseLeaseSensor):
    """Wait until no other run releases to the endpoint, then hold it; return the version to bring back.

    Args:
        request: of the roll-back (templated).
        chosen: the version to bring back and the one to leave (templated).
    """

    template_fields = ("request", "chosen")

    def __init__(self, *, chosen: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chosen = chosen

    def outcome(self, opened: OpenRun, serving: ReleasedModel | None) -> Any:
        """Return the version, unless somebody released another one meanwhile."""
        version = serving.model_version if serving else None
        if version not in (self.chosen["leaves"], self.chosen["model_version"]):
            raise AirflowFailException(
                f"{version} was released since {self.chosen['leaves']} was to be left: look at it, then "
                "trigger the roll-back again."
            )
        return self.chosen


@task
def leave_version(request: Any, chosen: Any) -> None:
    """Mark the version that was left, so that nobody goes back to it unawares, and tell people."""
    from vigil.operators.telling import tell
    from vigil.release.rollback import mark_rolled_back

    opened = open_run(request)
    reason = get_current_context()["params"]["reason"] or "no reason given"
    left = released_version(opened, chosen["leaves"])
    if left:
        mark_rolled_back(opened.sagemaker, left, chosen["model_version"], reason)
    tell(
        opened,
        "rolled-back",
        f"{opened.run.model} is back at {chosen['model_version']}; {chosen['leaves']} was left.\n"
        f"Reason: {reason}",
    )

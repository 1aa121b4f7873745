"""Tasks that hold and give back the release lease of an endpoint."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue, task
from airflow.sdk.exceptions import AirflowSkipException

from vigil.operators.environment import open_database
from vigil.operators.open_run import open_run
from vigil.operators.training import longest_judgement

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.operators.open_run import OpenRun
    from vigil.released_models import ReleasedModel

log = logging.getLogger(__name__)


class TakeReleaseLeaseSensor(BaseSensorOperator):
    """Wait until no other run releases to the endpoint, then hold it; return who is the champion.

    Whoever waited is judged against the champion of now, not of when its run began.

    Args:
        request: the resolved request (templated).
    """

    template_fields: Sequence[str] = ("request",)

    def __init__(self, *, request: Any, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", **kwargs)
        self.request = request

    def poke(self, context: Context) -> PokeReturnValue:
        """Try to take the lease."""
        from vigil.database import connected, in_transaction
        from vigil.release.leases import take_lease
        from vigil.released_models import champion

        opened = open_run(self.request)
        endpoint, holder = opened.spec.endpoint.name, opened.run.run
        with connected(open_database(opened.settings)) as connection:
            lease = take_lease(connection, endpoint, holder, longest_judgement(opened.spec))
            if lease.holder != holder:
                log.info("%s is releasing to %s, at most until %s", lease.holder, endpoint, lease.expires_at)
                return PokeReturnValue(is_done=False)
            serving = in_transaction(connection, lambda cursor: champion(cursor, opened.run.model))
        log.info("The champion is %s", serving.model_version if serving else "nobody yet")
        return PokeReturnValue(is_done=True, xcom_value=self.outcome(opened, serving))

    def outcome(self, opened: OpenRun, serving: ReleasedModel | None) -> Any:
        """Return what later tasks need to know."""
        return serving.model_version if serving else None


class ConfirmReleaseLeaseSensor(TakeReleaseLeaseSensor):
    """Hold the lease again before the endpoint is moved, which others may have done while a person decided.

    Skipped when the candidate is not approved, or when somebody else's release came first.

    Args:
        request: the resolved request (templated).
        approved: the version and its approval (templated).
        champion: that served when the candidate was compared, or None (templated).
    """

    template_fields = ("request", "approved", "champion")

    def __init__(self, *, approved: Any, champion: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approved = approved
        self.champion = champion

    def poke(self, context: Context) -> PokeReturnValue:
        """Try to take the lease, for an approved version."""
        if self.approved["approval"] != "Approved":
            raise AirflowSkipException(
                f"{self.approved['model_version']} is {self.approved['approval']}: nothing is deployed."
            )
        return super().poke(context)

    def outcome(self, opened: OpenRun, serving: ReleasedModel | None) -> Any:
        """Return the version, unless another champion has come between."""
        from vigil.operators.telling import tell
        from vigil.release.registry import decide

        version = serving.model_version if serving else None
        ours = version == self.approved["model_version"]
        late = serving is not None and serving.due_at > opened.request.due_at
        if ours or (version == self.champion and not late):
            return self.approved
        reason = (
            f"{version} became the champion after this version had been compared with "
            f"{self.champion or 'none'}: trigger a new run to compare it with that."
        )
        decide(opened.sagemaker, self.approved["model_package_arn"], approved=False, reasons=[reason])
        tell(
            opened,
            "candidate-rejected",
            f"{self.approved['model_version']} was overtaken and is not deployed.\n{reason}",
        )
        raise AirflowSkipException(reason)


@task
def give_back_release_lease(request: Any) -> None:
    """Let the next release go on, whatever came of this one."""
    if request is None:
        log.info("The run never came to ask for anything.")
        return
    release_lease(open_run(request))


def release_lease(opened: OpenRun) -> None:
    """Give the lease back; one that is somebody else's by now stays theirs."""
    from vigil.database import connected
    from vigil.release.leases import give_back_lease

    with connected(open_database(opened.settings)) as connection:
        give_back_lease(connection, opened.spec.endpoint.name, opened.run.run)

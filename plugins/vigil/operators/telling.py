"""Tells operators what became of trainings and releases."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from botocore.exceptions import BotoCoreError, ClientError

from vigil.operators.environment import open_database

if TYPE_CHECKING:
    from vigil.aws import Aws
    from vigil.notices import Kind, Notice
    from vigil.operators.open_run import OpenRun
    from vigil.settings import Settings

log = logging.getLogger(__name__)


def tell(opened: OpenRun, kind: Kind, text: str, about: str | None = None) -> None:
    """Tell people something of a run, once.

    Args:
        opened: the run.
        kind: of the notice.
        text: for people.
        about: what it is about, if a run has several notices of the kind.
    """
    from vigil.notices import Notice

    identity = "/".join(part for part in (kind, opened.run.model, opened.run.run, about) if part)
    send_notice(opened.settings, opened.aws, Notice(identity, kind, opened.run.model, text))


def send_notice(settings: Settings, aws: Aws, notice: Notice) -> None:
    """Write a notice down and publish it; if SNS does not take it, it waits for the next run of anything."""
    from vigil.database import connected, in_transaction
    from vigil.notices import write_notice
    from vigil.windows import now

    log.info("%s", notice.text)
    with connected(open_database(settings)) as connection:
        in_transaction(connection, lambda cursor: write_notice(cursor, notice, now()))
    publish_what_waits(settings, aws)


def publish_what_waits(settings: Settings, aws: Aws) -> None:
    """Publish notices that were written down; those that SNS does not take wait for the next time."""
    from vigil.database import connected
    from vigil.notices import publish_notices
    from vigil.windows import now

    if settings.operations_topic_arn is None:
        log.debug("Nobody is told: the setting operations_topic_arn is not set.")
        return
    with connected(open_database(settings)) as connection:
        try:
            publish_notices(connection, aws.client("sns"), settings.operations_topic_arn, now())
        except (ClientError, BotoCoreError) as error:
            # It is written down, and detect_anomalies publishes what waits every minute.
            log.error("SNS did not take the notice: %s", error)


@task
def tell_of_failure(request: Any, kind: Kind = "training-failed") -> None:
    """Tell people which task of the run failed, if one did.

    Args:
        request: the resolved request; None when the run never came to settle one, which it told by itself.
        kind: of the notice, unless it was the deployment that failed.
    """
    from vigil.operators.open_run import open_run

    context = get_current_context()
    ti, dag = context["ti"], context["dag"]
    states = ti.get_task_states(dag_id=dag.dag_id, run_ids=[context["run_id"]])[context["run_id"]]
    failed = [name for name, state in states.items() if state == "failed"]
    if not failed or request is None:
        log.info("No task failed.")
        return
    opened = open_run(request)
    deployment = bool({"deploy", "verify_deployment"} & set(failed))
    way_out = (
        "The version is rejected, and the one before it serves. Mend the cause, approve the version in the "
        "registry, and bring it in by roll_back_model with its number."
        if deployment
        else "Read the task's log, mend the cause, and clear the task: it goes on where it stopped."
    )
    tell(
        opened,
        "deployment-failed" if deployment else kind,
        f"{opened.run.model}: {', '.join(failed)} failed in {opened.request.dag_run}.\n{way_out}",
        about=f"{failed[0]}-{ti.try_number}",
    )

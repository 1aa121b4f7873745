"""The task of `sweep_training_stacks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from vigil.operators.environment import load_settings, open_aws, still_going_on
from vigil.operators.telling import send_notice

if TYPE_CHECKING:
    from vigil.stacks.sweeping import Swept


@task
def sweep_stacks() -> list[dict[str, Any]]:
    """End every training stack that is past its end or that nobody looks after, and tell people.

    Raises:
        RuntimeError: AWS did not take some of the calls; the next sweep tries again.
    """
    from dataclasses import asdict

    from vigil.stacks.sweeping import sweep
    from vigil.windows import now

    settings = load_settings()
    aws = open_aws(settings)
    is_going_on = still_going_on(get_current_context())
    swept = sweep(
        aws, settings.environment, lambda dag_id, run_id: not is_going_on(f"{dag_id}/{run_id}"), now
    )
    if not swept:
        raise AirflowSkipException("There is nothing to sweep.")
    for job in sorted({one.job for one in swept}):
        _tell(settings, aws, [one for one in swept if one.job == job])
    failed = [one for one in swept if one.error]
    if failed:
        raise RuntimeError("; ".join(f"{one.what}: {one.error}" for one in failed))
    return [asdict(one) for one in swept]


def _tell(settings: Any, aws: Any, swept: list[Swept]) -> None:
    """Tell people of one stack, once for each reason."""
    from vigil.aws import content_hash
    from vigil.notices import Notice

    first = swept[0]
    lines = [f"{one.what}: {one.why}" + (f" - NOT ENDED: {one.error}" if one.error else "") for one in swept]
    identity = f"training-stack-swept/{first.job}/{first.launch}/{content_hash(sorted(lines))}"
    text = "\n".join([f"{first.job}: swept away, {first.why}.", *lines])
    send_notice(settings, aws, Notice(identity, "training-stack-swept", first.job, text))

"""Tasks of `launch_training_stack`: a launch is settled, made, waited for, and cleared away."""

from __future__ import annotations

import logging
from calendar import timegm
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigil.operators.environment import load_settings, open_aws, run_moment
from vigil.operators.stack_trigger import TrainingStackTrigger
from vigil.operators.telling import send_notice

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.aws import Aws
    from vigil.settings import Settings
    from vigil.stacks.launch import Launch
    from vigil.stacks.outcome import Outcome

# The guest, the schedule and a sweep have had their time by then.
_AFTER_DEADLINE_S = 120.0
_DELETIONS = 3
log = logging.getLogger(__name__)


@task
def settle_launch() -> dict[str, Any]:
    """Settle what is launched, what it may cost and how long it lasts; in a dry run, only show it.

    Raises:
        AirflowFailException: something that was said cannot be done; nothing was paid for.
        AirflowSkipException: it is a dry run.
    """
    from vigil.aws import content_hash
    from vigil.errors import SettingsError
    from vigil.notices import Notice
    from vigil.stacks.resolving import put_on_s3, settle_config, settle_launch
    from vigil.stacks.template import ground_of
    from vigil.windows import now

    context = get_current_context()
    settings = load_settings()
    aws = open_aws(settings)
    said = context["params"]
    try:
        ground_of(settings, aws.session.region_name)
        config = settle_config(aws.client("s3"), said["config"], said["options"] or {})
        launch, script = settle_launch(
            aws,
            config,
            bucket=settings.bucket,
            dag_id=context["dag"].dag_id,
            run_id=context["run_id"],
            now=now(),
        )
    except SettingsError as error:
        name = str(said["config"] or "training stack")[-63:]
        identity = f"training-stack-failed/{content_hash([context['run_id'], str(error)])}"
        text = f"{name}: nothing was launched in {context['run_id']}.\n{error}"
        send_notice(settings, aws, Notice(identity, "training-stack-failed", name, text))
        # Another try would say the same.
        raise AirflowFailException(str(error)) from error
    for line in launch.lines():
        log.info("%s", line)
    if said["dry_run"]:
        raise AirflowSkipException("A dry run: nothing is launched. What would be is shown above.")
    put_on_s3(aws.client("s3"), launch, script)
    return launch.to_json()


class LaunchTrainingStackOperator(BaseOperator):
    """Launch a training stack, wait for its end without a worker slot, delete it, and return how it ended.

    A retry adopts the stack of the first try. Killing the task deletes the stack, whether a worker or the
    triggerer holds it, unless the configuration says `detach-on-kill`. An end that was not asked for is a
    failure, and is not tried again.

    Args:
        launch: settled launch (templated).
    """

    template_fields = ("launch",)

    def __init__(self, *, launch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.launch = launch

    def execute(self, context: Context) -> dict[str, Any]:
        """Launch or adopt the stack, and leave the worker until it has ended."""
        from vigil.stacks.launching import StackInTheWayError, launch_or_adopt
        from vigil.stacks.outcome import kept_outcome
        from vigil.stacks.template import ground_of
        from vigil.windows import now

        settings, aws, launch = self._opened()
        kept = kept_outcome(aws, launch)
        if kept is not None:
            self.log.info("An earlier try has seen the end.")
            return self._clear_away(settings, aws, launch, kept)
        try:
            stack = launch_or_adopt(
                aws,
                launch,
                ground_of(settings, aws.session.region_name),
                since=run_moment(context),
                clock=now,
                poll_s=settings.poll_interval_s,
            )
        except StackInTheWayError as error:
            raise AirflowFailException(str(error)) from error
        self.log.info("%s is %s", stack.id, stack.status)
        latest = timegm((stack.deadline or now()).timetuple()) + _AFTER_DEADLINE_S
        self._wait(settings, launch, stack.id, until="ended", latest=latest, method="resume")
        raise AssertionError("a deferred task leaves the worker")

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Keep how the launch ended, have the stack deleted, and wait until it is gone."""
        from vigil.stacks.ending import terminate_instances_of
        from vigil.stacks.inventory import find_stack
        from vigil.stacks.outcome import keep_outcome, kept_outcome, last_log_lines, outcome_of
        from vigil.windows import now

        settings, aws, launch = self._opened()
        stack = find_stack(aws.client("cloudformation"), event["stack_id"])
        outcome = kept_outcome(aws, launch)
        if outcome is None:
            if event["seen"] != "ended":
                # Its cost is told now, so it must not go on.
                terminate_instances_of(aws, launch.name, launch.id)
            deadline = (stack.deadline if stack else None) or now()
            outcome = outcome_of(aws, launch, event["stack_id"], deadline, now())
            for line in last_log_lines(aws, launch):
                self.log.info("%s | %s", launch.name, line)
            keep_outcome(aws, launch, outcome)
        return self._clear_away(settings, aws, launch, outcome)

    def resume_deleting(self, context: Context, event: dict[str, Any]) -> Any:
        """Look whether the deletion came about; if not, terminate the instance directly and try again."""
        from vigil.stacks.ending import end_directly
        from vigil.stacks.outcome import kept_outcome

        settings, aws, launch = self._opened()
        if event["seen"] != "gone":
            if event["attempt"] >= _DELETIONS:
                raise AirflowFailException(
                    f"The stack {event['stack_id']} cannot be deleted ({event['seen']}); its instance is "
                    "terminated. sweep_training_stacks goes on trying: look at the stack's events."
                )
            end_directly(aws, launch.name, launch.id, event["stack_id"])
            return self._wait_until_gone(settings, launch, event["stack_id"], event["attempt"] + 1)
        outcome = kept_outcome(aws, launch)
        if outcome is None:
            raise AirflowFailException(f"{launch.folder}/outcome.json is gone: somebody deleted it.")
        return self._close(settings, aws, launch, outcome)

    def on_kill(self) -> None:
        """Have the stack deleted: the task was killed while a worker held it."""
        from vigil.stacks.ending import delete_stack_of
        from vigil.stacks.inventory import find_stack

        _, aws, launch = self._opened()
        if launch.config.detach_on_kill:
            self.log.info("The stack %s goes on to its own end.", launch.name)
            return
        stack = find_stack(aws.client("cloudformation"), launch.name)
        if stack is not None:
            delete_stack_of(aws.client("cloudformation"), stack.id, launch.id)

    def _opened(self) -> tuple[Settings, Aws, Launch]:
        from vigil.stacks.launch import Launch

        settings = load_settings()
        return settings, open_aws(settings), Launch.from_json(self.launch)

    def _wait(
        self,
        settings: Settings,
        launch: Launch,
        stack_id: str,
        *,
        until: str,
        latest: float,
        method: str,
        attempt: int = 1,
    ) -> None:
        self.defer(
            trigger=TrainingStackTrigger(
                stack_id=stack_id,
                job=launch.name,
                launch=launch.id,
                until=until,
                aws_conn_id=settings.aws_conn_id,
                poll_s=settings.poll_interval_s,
                latest=latest,
                detached=launch.config.detach_on_kill,
                attempt=attempt,
            ),
            method_name=method,
        )

    def _wait_until_gone(self, settings: Settings, launch: Launch, stack_id: str, attempt: int = 1) -> None:
        from vigil.stacks.ending import DELETION_LIMIT_S
        from vigil.windows import now

        latest = timegm(now().timetuple()) + DELETION_LIMIT_S
        self._wait(
            settings,
            launch,
            stack_id,
            until="gone",
            latest=latest,
            method="resume_deleting",
            attempt=attempt,
        )

    def _clear_away(self, settings: Settings, aws: Aws, launch: Launch, outcome: Outcome) -> dict[str, Any]:
        """Have the stack deleted, unless it serves another launch by now, and wait until it is gone."""
        from vigil.stacks.ending import delete_stack_of
        from vigil.stacks.inventory import find_stack

        cloudformation = aws.client("cloudformation")
        stack = find_stack(cloudformation, launch.name)
        if stack is not None and delete_stack_of(cloudformation, stack.id, launch.id):
            self._wait_until_gone(settings, launch, stack.id)
        return self._close(settings, aws, launch, outcome)

    def _close(self, settings: Settings, aws: Aws, launch: Launch, outcome: Outcome) -> dict[str, Any]:
        """Look whether anything is left, tell people, and return the outcome or fail with it."""
        for line in outcome.lines():
            self.log.info("%s", line)
        _finish(settings, aws, launch, outcome)
        if not outcome.succeeded:
            raise AirflowFailException(outcome.lines()[0])
        return outcome.to_json()


def _finish(settings: Settings, aws: Aws, launch: Launch, outcome: Outcome) -> None:
    """See that nothing of a launch is left, and tell people how it ended, once.

    Raises:
        RuntimeError: an instance or a volume is left.
    """
    from vigil.notices import Notice
    from vigil.stacks.ending import left_of

    # What replaced it goes on, and answers for itself.
    left = [] if outcome.kind == "replaced" else left_of(aws, launch.name, launch.id)
    if left:
        raise RuntimeError(f"Something of {launch.name} is left and costs: {', '.join(left)}.")
    if outcome.kind != "replaced":
        log.info("Nothing billable is left.")
    notice = Notice(
        f"training-stack-ended/{outcome.job}/{outcome.launch}",
        "training-stack-ended" if outcome.succeeded else "training-stack-failed",
        outcome.job,
        "\n".join(outcome.lines()),
    )
    send_notice(settings, aws, notice)


@task(trigger_rule="all_done", retries=5, retry_delay=timedelta(seconds=30))
def leave_nothing(launch: Any) -> None:
    """See to the end of a launch whose task was killed, or failed in a way that nobody foresaw.

    Raises:
        RuntimeError: something is left that costs; another try may find it gone.
    """
    from vigil.stacks.ending import end_and_wait
    from vigil.stacks.inventory import find_deleted_stack, find_stack
    from vigil.stacks.launch import Launch
    from vigil.stacks.outcome import keep_outcome, kept_outcome, outcome_of
    from vigil.windows import now

    if launch is None:
        log.info("Nothing was to be launched.")
        return
    settings = load_settings()
    aws = open_aws(settings)
    settled = Launch.from_json(launch)
    cloudformation = aws.client("cloudformation")
    stack = find_stack(cloudformation, settled.name)
    kept = kept_outcome(aws, settled)
    if kept is not None:
        # Its task has seen the end, but may have been killed before it deleted the stack or told of it.
        if stack is not None and stack.launch == settled.id and not stack.is_changing:
            end_and_wait(aws, settled.name, settled.id, stack.id, settings.poll_interval_s)
        _finish(settings, aws, settled, kept)
        return
    if stack is None or stack.launch != settled.id:
        since = run_moment(get_current_context())
        stack = find_deleted_stack(cloudformation, settled.name, settled.id, since)
    if stack is None:
        log.info("No stack was made.")
        return
    if settled.config.detach_on_kill and not stack.is_gone:
        log.info("%s goes on to its own end.", stack.id)
        return
    end_and_wait(aws, settled.name, settled.id, stack.id, settings.poll_interval_s)
    outcome = outcome_of(aws, settled, stack.id, stack.deadline or now(), now())
    keep_outcome(aws, settled, outcome)
    _finish(settings, aws, settled, outcome)

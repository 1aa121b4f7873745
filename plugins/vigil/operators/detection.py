"""Operators of the detection domain."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator

from vigil.operators.environment import load_settings, open_aws, open_connection, open_database
from vigil.operators.telling import publish_what_waits

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.aws import Aws
    from vigil.detection.expectations.predicting import PredictorOf
    from vigil.detection.expectations.transforming import TransformPredictor
    from vigil.detection.pipeline import BulkOptions
    from vigil.released_models import ReleasedModel
    from vigil.settings import Settings

_BACKFILL = "backfill"
# So long the last windows of an interval take to be collected and counted, once they are closed.
_COUNTED_AFTER = timedelta(minutes=10)
# Together well below the ten minutes of a task: counting and relaying take time of their own.
_COLLECT_S = 180
_JUDGE_S = 180


class DetectAnomaliesOperator(BaseOperator):
    """Take new events, count them, judge the windows that have closed, and publish alerts.

    The steps do not wait for each other's success: what one cannot do is told at the end, and the next run
    goes on with it. Nor do they wait for each other's end: what would take too long is left to the next run,
    and alerts that an earlier one left are published before anything else.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what each step did.

        Raises:
            VigilError: a step failed; raised at the end, and says what each failure said.
        """
        from vigil.detection.collecting import collect
        from vigil.detection.judging import judge_due_windows
        from vigil.detection.outbox import relay
        from vigil.detection.pipeline import load_pipeline
        from vigil.detection.sources.opening import open_sources
        from vigil.steps import Steps
        from vigil.windows import now

        settings = load_settings()
        database, aws = open_database(settings), open_aws(settings)
        relay_now = partial(relay, database, aws.client("sns"), settings.alert_topic_arn)
        outcomes: dict[str, Any] = {}
        steps = Steps()
        with steps.step("Relaying the alerts of earlier runs"):
            outcomes["relayed_before"] = asdict(relay_now(now()))
        pipeline = load_pipeline(settings.pipeline_file)
        sources = open_sources(pipeline, partial(open_connection, settings), aws.client)
        with steps.step("Collecting"):
            collected = collect(database, sources, settings, now(), monotonic() + _COLLECT_S)
            # As JSON has it: a tuple would be wrapped.
            outcomes["collected"] = asdict(collected) | {"unfinished": list(collected.unfinished)}
        with steps.step("Judging"):
            predictor = predictor_of(aws)
            until = monotonic() + _JUDGE_S
            judged = judge_due_windows(database, predictor, pipeline, settings, now(), until)
            outcomes["judged"] = asdict(judged)
        with steps.step("Relaying the alerts"):
            outcomes["relayed"] = asdict(relay_now(now()))
        with steps.step("Publishing the notices"):
            # Of trainings and releases, which SNS did not take when they were written.
            publish_what_waits(settings, aws)
        steps.tell()
        return outcomes


class JudgePeriodOperator(BaseOperator):
    """Judge the run's interval: all of it in a backfill, else only what nobody has judged.

    Alerts are sent only if the run's param `send_alerts` says so. A run whose interval has only just ended
    waits, without a worker, until its last windows are counted.
    """

    _bulk: TransformPredictor | None = None

    def execute(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what was judged."""
        from vigil.detection.backfilling import judge_period
        from vigil.detection.pipeline import load_pipeline
        from vigil.windows import now, to_utc

        settings = load_settings()
        run = context["dag_run"]
        start, end = run.data_interval_start, run.data_interval_end
        if start is None or end is None:
            raise ValueError(f"The run {context['run_id']} has no interval to judge.")
        counted = end + settings.allowed_lateness + _COUNTED_AFTER
        if event is None and counted > datetime.now(UTC):
            self.defer(trigger=DateTimeTrigger(counted), method_name="execute")
        pipeline = load_pipeline(settings.pipeline_file)
        outcome = judge_period(
            open_database(settings),
            predictor_of(open_aws(settings)),
            pipeline,
            settings,
            to_utc(start),
            to_utc(end),
            now(),
            bulk=partial(self._open_bulk, settings, pipeline.bulk, context["run_id"]),
            send_alerts=context["params"]["send_alerts"],
            only_unjudged=run.run_type != _BACKFILL,
        )
        return asdict(outcome)

    def on_kill(self) -> None:
        """Stop the transform job that the task waits for."""
        if self._bulk:
            self._bulk.stop()

    def _open_bulk(
        self, settings: Settings, options: BulkOptions, run_id: str, model: ReleasedModel
    ) -> TransformPredictor:
        from vigil.aws import S3Location, content_hash
        from vigil.detection.expectations.transforming import Machines, TransformPredictor

        aws = open_aws(settings)
        self._bulk = TransformPredictor(
            aws.client("sagemaker"),
            aws.client("s3"),
            S3Location(settings.bucket, "judging"),
            content_hash(run_id),
            model,
            Machines(options.instance_type, options.instance_count, options.max_runtime_min * 60),
            settings.poll_interval_s,
            settings.key_arn,
        )
        return self._bulk


def predictor_of(aws: Aws) -> PredictorOf:
    """Return what gives the predictor of an endpoint."""
    from vigil.detection.expectations.predicting import EndpointPredictor

    runtime, sagemaker = aws.client("sagemaker-runtime"), aws.client("sagemaker")
    return lambda endpoint: EndpointPredictor(runtime, sagemaker, endpoint)

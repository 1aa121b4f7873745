"""Operators of the detection domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from vigil.operators.environment import load_settings, open_aws, open_connection, open_database
from vigil.operators.telling import publish_what_waits

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.aws import Aws
    from vigil.detection.predicting import PredictorOf

_BACKFILL = "backfill"


class DetectAnomaliesOperator(BaseOperator):
    """Take new events, count them, judge the windows that have closed, and publish alerts.

    The three steps do not wait for each other's success: what one cannot do is told at the end, and the next
    run goes on with it.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what each step did.

        Raises:
            VigilError: a step failed; the message holds what each of them said.
        """
        from vigil.detection.collecting import collect
        from vigil.detection.judging import judge_due_windows
        from vigil.detection.outbox import relay
        from vigil.detection.pipeline import load_pipeline
        from vigil.detection.sources.opening import open_sources
        from vigil.errors import VigilError
        from vigil.windows import now

        settings = load_settings()
        database, aws = open_database(settings), open_aws(settings)
        pipeline = load_pipeline(settings.pipeline_file)
        steps: dict[str, Callable[[], Any]] = {
            "collected": lambda: collect(
                database, open_sources(pipeline, open_connection, aws.client), settings, now()
            ),
            "judged": lambda: judge_due_windows(database, predictor_of(aws), pipeline, settings, now()),
            "relayed": lambda: relay(database, aws.client("sns"), settings.alert_topic_arn, now()),
        }
        outcomes: dict[str, Any] = {}
        failures: list[VigilError] = []
        for name, step in steps.items():
            try:
                outcomes[name] = asdict(step())
            except VigilError as failure:
                self.log.error("%s", failure)
                failures.append(failure)
        # Notices of trainings and releases that SNS did not take when they were written.
        publish_what_waits(settings, aws)
        if failures:
            raise VigilError(" ".join(map(str, failures))) from failures[0]
        return outcomes


class JudgePeriodOperator(BaseOperator):
    """Judge the run's interval: all of it in a backfill, else only what nobody has judged.

    Alerts are sent only if the run's param `send_alerts` says so.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what was judged."""
        from vigil.detection.backfilling import judge_period
        from vigil.detection.pipeline import load_pipeline
        from vigil.windows import now, to_utc

        settings = load_settings()
        run = context["dag_run"]
        start, end = run.data_interval_start, run.data_interval_end
        if start is None or end is None:
            raise ValueError(f"The run {context['run_id']} has no interval to judge.")
        outcome = judge_period(
            open_database(settings),
            predictor_of(open_aws(settings)),
            load_pipeline(settings.pipeline_file),
            settings,
            to_utc(start),
            to_utc(end),
            now(),
            send_alerts=context["params"]["send_alerts"],
            only_unjudged=run.run_type != _BACKFILL,
        )
        return asdict(outcome)


def predictor_of(aws: Aws) -> PredictorOf:
    """Return what gives the predictor of an endpoint."""
    from vigil.detection.predicting import EndpointPredictor

    return lambda endpoint: EndpointPredictor(aws.client("sagemaker-runtime"), endpoint)

"""The second half of `detect_anomalies`: judges the windows that are due.

A window is due when it is marked, closed, and counted: it lies before `counted_until`, its end plus the
allowed lateness has passed, and no window of its series up to it waits for a recount. Before the first of a
day, the statistics that the day is judged by are drawn. The endpoint is asked while no lock is held;
`recording` writes down what follows from the answer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement
from vigil.detection.expectations.lookback import epoch_seconds, lookback_by_key
from vigil.detection.expectations.predicting import Predictions, PredictorOf
from vigil.detection.expectations.rules import Rule
from vigil.detection.expectations.statistics import keep_statistics
from vigil.detection.pipeline import Pipeline
from vigil.detection.telling.recording import Recorded, record_verdicts
from vigil.detection.telling.silence import watch_sources
from vigil.detection.verdicts import Count, Verdict
from vigil.errors import CloudError
from vigil.features import features_of, most_at_once
from vigil.holidays import holidays
from vigil.released_models import ReleasedModel, champion, models_that_answered
from vigil.settings import Settings
from vigil.windows import WINDOW, midnight

_WINDOWS_PER_STEP = 20_000
_MOST_AT_ONCE = most_at_once() * WINDOW
_DAY = timedelta(days=1)
# Some seconds of work: after midnight, alerts must not wait for the statistics of thousands of series.
_SERIES_DRAWN = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JudgeOutcome:
    """What a judge did.

    Attributes:
        model_version: the champion; None when there is no model yet, and every mark stays.
        judged: windows that got a verdict.
        anomalous: those among them that lie outside the band.
        endpoint_calls: how often the endpoint was invoked.
        opened: incidents whose opening was told, and sources that fell silent.
        closed: incidents whose end was told, and sources that speak again.
        alerts: messages put into the outbox.
        unfinished: windows are due that are left to the next run.
    """

    model_version: str | None
    judged: int = 0
    anomalous: int = 0
    endpoint_calls: int = 0
    opened: int = 0
    closed: int = 0
    alerts: int = 0
    unfinished: bool = False


def judge_due_windows(
    database: Database,
    predictor_of: PredictorOf,
    pipeline: Pipeline,
    settings: Settings,
    now: datetime,
    until: float = math.inf,
) -> JudgeOutcome:
    """Judge every window that is due, and see whether sources are silent.

    Args:
        database: with the counts.
        predictor_of: gives the predictor of an endpoint.
        pipeline: names the model and the sources.
        settings: say how long a window stays open.
        now: the present time.
        until: what is due when the monotonic clock shows so much is left to the next run, but for the oldest.

    Raises:
        CloudError: the endpoint gave no usable answer; the marks stay.
    """
    with connected(database) as connection:
        due: list[Count] = []
        link = settings.alert_link
        watch = partial(watch_sources, pipeline=pipeline, now=now, link=link)
        silence = in_transaction(connection, watch)
        serving = in_transaction(connection, partial(champion, model=pipeline.model))
        steps: list[Recorded] = []
        calls = 0
        if serving:
            predictor, rule = predictor_of(serving.endpoint), pipeline.rule.to_rule()
            due = _due(connection, settings, now)
            while due and (not steps or monotonic() < until):
                keep_statistics(connection, midnight(due[0].window_start), at_most=_SERIES_DRAWN)
                features = _features_of(connection, due)
                predictions = predictor.predict(features)
                calls += predictions.calls
                verdicts = judge(connection, due, predictions, rule, serving)
                record = partial(
                    record_verdicts,
                    verdicts=verdicts,
                    pipeline=pipeline,
                    threshold=rule.threshold(serving),
                    now=now,
                    link=link,
                )
                steps.append(in_transaction(connection, record))
                due = _due(connection, settings, now) if steps[-1].judged else []
    outcome = JudgeOutcome(
        model_version=serving.model_version if serving else None,
        judged=sum(step.judged for step in steps),
        anomalous=sum(step.anomalous for step in steps),
        endpoint_calls=calls,
        opened=sum(step.opened for step in steps) + silence.silent,
        closed=sum(step.closed for step in steps) + silence.speaking,
        alerts=sum(step.alerts for step in steps) + silence.alerts,
        unfinished=bool(due),
    )
    log.info("Judged: %s", outcome)
    return outcome


def _due(connection: Connection[Any], settings: Settings, now: datetime) -> list[Count]:
    """Return windows of one day that are due, the oldest first.

    None of them looks back on another as a usual one.
    """

    def select(cursor: Cursor) -> list[Count]:
        newest = now - settings.allowed_lateness - WINDOW
        oldest = _select_due(cursor, newest, 1)
        if not oldest:
            return []
        first = oldest[0].window_start
        end = min(first + _MOST_AT_ONCE, midnight(first) + _DAY)
        return _select_due(cursor, min(newest, end - WINDOW), _WINDOWS_PER_STEP)

    return in_transaction(connection, select)


def _select_due(cursor: Cursor, newest: datetime, limit: int) -> list[Count]:
    cursor.execute(statement("detection/select_due_windows"), {"newest": newest, "limit": limit})
    return [Count(*row) for row in cursor.fetchall()]


def judge(
    connection: Connection[Any],
    counts: Sequence[Count],
    predictions: Predictions,
    rule: Rule,
    serving: ReleasedModel,
) -> list[Verdict]:
    """Return the verdicts on some windows; no lock is held.

    Args:
        connection: an open connection.
        counts: n windows.
        predictions: the endpoint's answer about them.
        rule: by which they are judged.
        serving: the champion; while another takes its place, both may answer.

    Raises:
        CloudError: the answer is of a model that nobody released.
    """
    # Read after the answer: a version has its row before its endpoint can answer with it.
    answered = partial(models_that_answered, model=serving.model, variants=set(predictions.variants))
    released = in_transaction(connection, answered)
    models = _who_answered(predictions, released, serving.endpoint)
    judging = partial(rule.judge, counts=counts, expected=predictions.expected, models=models)
    return in_transaction(connection, judging)


def _who_answered(
    predictions: Predictions, released: Sequence[ReleasedModel], endpoint: str
) -> list[ReleasedModel]:
    """Return the model that answered for each window.

    Raises:
        CloudError: a variant answered that no released model has.
    """
    by_variant = {model.variant: model for model in released if model.endpoint == endpoint}
    for variant in sorted(set(predictions.variants) - by_variant.keys()):
        raise CloudError(
            f"The endpoint {endpoint} answered with the variant {variant!r}, which no released model "
            "has: was it deployed by hand? Release it with retrain_weekly, or roll back."
        )
    return [by_variant[variant] for variant in predictions.variants]


def _features_of(connection: Connection[Any], counts: Sequence[Count]) -> NDArray[np.float64]:
    windows = [(count.series, count.window_start) for count in counts]
    lookback = in_transaction(connection, partial(lookback_by_key, windows=windows))
    return features_of(epoch_seconds([start for _, start in windows]), lookback, holidays())

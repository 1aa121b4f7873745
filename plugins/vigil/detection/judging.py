"""The second half of `detect_anomalies`: judges the windows that are due.

A window is due when it is marked, closed, and counted: it lies before `counted_until`, its end plus the
allowed lateness has passed, and no window of its series up to it waits for a recount. The endpoint is asked
while no lock is held. What is written afterwards is written in one transaction that holds the series: of two
judges one waits, finds the marks gone, and writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement
from vigil.detection.alerts import Alert, closing_alert, opening_alert, save_alerts
from vigil.detection.incidents import Incident, go_on, open_incidents, save_incidents
from vigil.detection.lookback import epoch_seconds, lookback_by_key
from vigil.detection.pipeline import Pipeline
from vigil.detection.predicting import Predictor, PredictorOf
from vigil.detection.rows import as_json
from vigil.detection.silence import watch_sources
from vigil.detection.verdicts import Count, Verdict, save_verdicts, verdicts_of
from vigil.features import features_of
from vigil.released_models import champion, released_models
from vigil.settings import Settings
from vigil.windows import WINDOW

_WINDOWS_PER_STEP = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JudgeOutcome:
    """What a judge did.

    Attributes:
        model_version: the champion; None when there is no model yet, and every mark stays.
        judged: windows that got a verdict.
        anomalous: those among them that lie outside the band.
        endpoint_calls: how often the endpoint was invoked.
        opened: incidents that opened, silent sources included.
        closed: incidents that closed, silent sources included.
        alerts: messages put into the outbox.
    """

    model_version: str | None
    judged: int = 0
    anomalous: int = 0
    endpoint_calls: int = 0
    opened: int = 0
    closed: int = 0
    alerts: int = 0


@dataclass(frozen=True)
class _Step:
    """What one transaction wrote."""

    judged: int
    anomalous: int
    opened: int
    closed: int
    alerts: int


def judge_due_windows(
    database: Database, predictor_of: PredictorOf, pipeline: Pipeline, settings: Settings, now: datetime
) -> JudgeOutcome:
    """Judge every window that is due, and see whether sources are silent.

    Args:
        database: with the counts.
        predictor_of: gives the predictor of an endpoint.
        pipeline: names the model and the sources.
        settings: say how long a window stays open.
        now: the present time.

    Raises:
        CloudError: the endpoint gave no usable answer; the marks stay.
    """
    with connected(database) as connection:
        silence = in_transaction(connection, partial(watch_sources, pipeline=pipeline, now=now))
        serving = in_transaction(connection, partial(champion, model=pipeline.model))
        steps: list[_Step] = []
        calls = 0
        if serving:
            predictor = predictor_of(serving.endpoint)
            due = _due(connection, settings, now)
            while due:
                verdicts, called = judge(connection, due, predictor, pipeline.model, serving.endpoint)
                calls += called
                steps.append(in_transaction(connection, partial(_write, verdicts=verdicts, now=now)))
                due = _due(connection, settings, now) if steps[-1].judged else []
    outcome = JudgeOutcome(
        model_version=serving.model_version if serving else None,
        judged=sum(step.judged for step in steps),
        anomalous=sum(step.anomalous for step in steps),
        endpoint_calls=calls,
        opened=sum(step.opened for step in steps) + silence.silent,
        closed=sum(step.closed for step in steps) + silence.speaking,
        alerts=sum(step.alerts for step in steps) + silence.silent + silence.speaking,
    )
    log.info("Judged: %s", outcome)
    return outcome


def _due(connection: Connection[Any], settings: Settings, now: datetime) -> list[Count]:
    """Return windows that are due, the oldest first."""

    def select(cursor: Cursor) -> list[Count]:
        newest = now - settings.allowed_lateness - WINDOW
        cursor.execute(
            statement("detection/select_due_windows"), {"newest": newest, "limit": _WINDOWS_PER_STEP}
        )
        return [Count(*row) for row in cursor.fetchall()]

    return in_transaction(connection, select)


def judge(
    connection: Connection[Any], counts: Sequence[Count], predictor: Predictor, model: str, endpoint: str
) -> tuple[list[Verdict], int]:
    """Return the verdicts on some windows, and how often the endpoint was invoked; no lock is held."""
    windows = [(count.series, count.window_start) for count in counts]
    lookback = in_transaction(connection, partial(lookback_by_key, windows=windows))
    starts = epoch_seconds([start for _, start in windows])
    predictions = predictor.predict(features_of(starts, lookback))
    # Read after the answer: a version has its row before its endpoint can answer with it.
    released = in_transaction(connection, partial(released_models, model=model))
    return verdicts_of(counts, predictions, released, endpoint), predictions.calls


def _write(cursor: Cursor, verdicts: Sequence[Verdict], now: datetime) -> _Step:
    """Write the verdicts on windows that are still marked and still have the count that was judged."""
    names = sorted({verdict.series for verdict in verdicts})
    cursor.execute(statement("detection/hold_judged_series"), {"series": as_json([name] for name in names)})
    judged_until = dict(cursor.fetchall())
    standing = _still_standing(cursor, verdicts)
    save_verdicts(cursor, standing, now)
    new = [verdict for verdict in standing if verdict.window_start >= judged_until[verdict.series]]
    incidents, alerts = _go_on_with_incidents(cursor, new)
    save_incidents(cursor, incidents)
    alerted = save_alerts(cursor, alerts, now)
    newest = {verdict.series: verdict.window_start + WINDOW for verdict in new}
    cursor.execute(statement("detection/advance_judged_until"), {"series": as_json(newest.items())})
    cursor.execute(
        statement("detection/delete_unjudged_windows"),
        {"windows": as_json((verdict.series, verdict.window_start) for verdict in standing)},
    )
    return _Step(
        judged=len(standing),
        anomalous=sum(verdict.is_anomalous for verdict in standing),
        opened=sum(alert.attributes["kind"] == "opened" for alert in alerts),
        closed=sum(incident.closed_at is not None for incident in incidents),
        alerts=alerted,
    )


def _still_standing(cursor: Cursor, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Lock the marks, and return the verdicts whose window was neither judged nor recounted meanwhile."""
    windows = as_json((verdict.series, verdict.window_start) for verdict in verdicts)
    cursor.execute(statement("detection/hold_unjudged_windows"), {"windows": windows})
    cursor.execute(statement("detection/select_revisions"), {"windows": as_json(cursor.fetchall())})
    revisions = {(series, start): revision for series, start, revision in cursor.fetchall()}
    return [
        verdict
        for verdict in verdicts
        if revisions.get((verdict.series, verdict.window_start)) == verdict.revision
    ]


def _go_on_with_incidents(cursor: Cursor, verdicts: Sequence[Verdict]) -> tuple[list[Incident], list[Alert]]:
    """Return the incidents that change by verdicts that are the newest of their series, and what to tell."""
    by_series = {
        series: sorted(group, key=attrgetter("window_start"))
        for series, group in groupby(sorted(verdicts, key=attrgetter("series")), key=attrgetter("series"))
    }
    before = open_incidents(cursor, sorted(by_series))
    changed: list[Incident] = []
    alerts: list[Alert] = []
    for series, own in by_series.items():
        incidents = go_on(before.get(series), own, alerted=True)
        changed.extend(incidents)
        alerts.extend(alerts_of(incidents, own, known=before.get(series)))
    return changed, alerts


def alerts_of(
    incidents: Sequence[Incident], verdicts: Sequence[Verdict], known: Incident | None = None
) -> list[Alert]:
    """Return what is to be told of incidents, in the order in which it happened.

    Args:
        incidents: of one series, in order.
        verdicts: on its windows, among them the first one of each incident but `known`.
        known: the incident whose opening was told before.
    """
    on_window = {verdict.window_start: verdict for verdict in verdicts}
    alerts = []
    for incident in incidents:
        if known is None or incident.opened_at != known.opened_at:
            alerts.append(opening_alert(incident, on_window[incident.opened_at]))
        if incident.closed_at is not None:
            alerts.append(closing_alert(incident))
    return alerts

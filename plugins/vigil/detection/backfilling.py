"""Judges a period of history again, a day a run: `backfill_detections`.

It writes verdicts on every closed window of the period, whatever version of the model judged it before,
and derives the incidents of history from them. Before a day is judged, its statistics are drawn if they are
missing; behind it, those of the next day. Live windows keep the incidents that people were told of, and
those that still wait for the live judge are left to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement
from vigil.detection.expectations.lookback import epoch_seconds, lookback_in_bulk
from vigil.detection.expectations.predicting import Predictor, PredictorOf
from vigil.detection.expectations.rules import Rule
from vigil.detection.expectations.statistics import keep_statistics
from vigil.detection.incidents.incident import IncidentRules
from vigil.detection.incidents.store import rebuild_incidents
from vigil.detection.judging import judge
from vigil.detection.pipeline import Pipeline
from vigil.detection.rows import as_json
from vigil.detection.telling.alerts import alerts_of, save_alerts
from vigil.detection.verdicts import Count, Verdict, save_verdicts
from vigil.features import FEATURE_NAMES, features_of, most_at_once
from vigil.holidays import holidays
from vigil.released_models import ReleasedModel, champion
from vigil.settings import Settings
from vigil.windows import WINDOW, midnight

_DAY = timedelta(days=1)
_MOST_AT_ONCE = most_at_once() * WINDOW
_SERIES_PER_STEP = 64
# So many times a day of windows, described by features, are what a worker can hold.
_SERIES_PER_JOB = 512

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackfillOutcome:
    """What a backfill did.

    Attributes:
        model_version: the champion; None when there is no model yet.
        judged: windows that got a verdict.
        anomalous: those among them that lie outside the band.
        endpoint_calls: how often the endpoint was invoked.
        incidents: that lie in the period's history or reach into it.
        alerts: messages put into the outbox.
    """

    model_version: str | None
    judged: int = 0
    anomalous: int = 0
    endpoint_calls: int = 0
    incidents: int = 0
    alerts: int = 0


@dataclass(frozen=True)
class _History:
    """A series that has windows in the period; where its history ends, live windows or nothing follow."""

    series: str
    end: datetime


def judge_period(
    database: Database,
    predictor_of: PredictorOf,
    pipeline: Pipeline,
    settings: Settings,
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    bulk: Callable[[ReleasedModel], Predictor] | None = None,
    send_alerts: bool = False,
    only_unjudged: bool = False,
) -> BackfillOutcome:
    """Judge every closed window that starts in [start, end); may be run again, and days in any order.

    Args:
        database: with the counts.
        predictor_of: gives the predictor of an endpoint.
        pipeline: names the model.
        settings: say how long a window stays open.
        start: first window.
        end: first window after the period.
        now: the present time.
        bulk: gives what is asked, in place of the endpoint, about as many windows as the pipeline says.
        send_alerts: tell people of the incidents of history, each once.
        only_unjudged: leave out windows that have a verdict on their present count.

    Raises:
        CloudError: the endpoint gave no usable answer; what was judged before it is written.
    """
    with connected(database) as connection:
        serving = in_transaction(connection, partial(champion, model=pipeline.model))
    if serving is None:
        return BackfillOutcome(None)
    total = BackfillOutcome(serving.model_version)
    predictor = predictor_of(serving.endpoint)
    closed_before = now - settings.allowed_lateness - WINDOW + timedelta.resolution
    rule = pipeline.rule.to_rule()
    judging = _PeriodJudge(
        database,
        rule,
        serving,
        pipeline.incidents.rules(rule.threshold(serving)),
        send_alerts,
        settings.alert_link,
        now,
    )
    for first, last in _steps(start, min(end, closed_before)):
        with connected(database) as connection:
            keep_statistics(connection, midnight(first))
            histories = _histories(connection, first, last)
        windows = len(histories) * ((last - first) // WINDOW)
        # Of windows that nobody judged there are few, whatever the number of series.
        in_bulk = bulk is not None and not only_unjudged and pipeline.bulk.is_for(windows)
        asked = bulk(serving) if bulk and in_bulk else predictor
        for some in _some_at_a_time(histories, _SERIES_PER_JOB if in_bulk else _SERIES_PER_STEP):
            total = _sum(total, judging.judge(some, asked, first, last, only_unjudged))
            log.info("Judged %s to %s: %s", first, last, total)
        if last == midnight(last):
            with connected(database) as connection:
                keep_statistics(connection, last, anew=not only_unjudged)
    return total


def _steps(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield periods that lie in one day, and no window of which looks back on another as a usual one."""
    while start < end:
        last = min(start + _MOST_AT_ONCE, midnight(start) + _DAY, end)
        yield start, last
        start = last


def _histories(connection: Connection[Any], start: datetime, end: datetime) -> list[_History]:
    """Return the series that have windows in a period."""

    def select(cursor: Cursor) -> list[_History]:
        cursor.execute(statement("detection/select_series_of_period"), {"start": start, "end": end})
        return [_History(*row) for row in cursor.fetchall()]

    return in_transaction(connection, select)


def _some_at_a_time(histories: Sequence[_History], size: int) -> Iterator[Sequence[_History]]:
    for place in range(0, len(histories), size):
        yield histories[place : place + size]


def _sum(total: BackfillOutcome, step: BackfillOutcome) -> BackfillOutcome:
    return BackfillOutcome(
        total.model_version,
        total.judged + step.judged,
        total.anomalous + step.anomalous,
        total.endpoint_calls + step.endpoint_calls,
        total.incidents + step.incidents,
        total.alerts + step.alerts,
    )


@dataclass(frozen=True)
class _PeriodJudge:
    """Judges some series over at most a day."""

    database: Database
    rule: Rule
    serving: ReleasedModel
    rules: IncidentRules
    send_alerts: bool
    link: str | None
    now: datetime

    def judge(
        self,
        histories: Sequence[_History],
        predictor: Predictor,
        start: datetime,
        end: datetime,
        only_unjudged: bool,
    ) -> BackfillOutcome:
        """Predict while no connection is open, then write verdicts and incidents in one transaction.

        A transform job takes longer than the database lets a connection be idle.
        """
        read = partial(_read, histories=histories, start=start, end=end, only_unjudged=only_unjudged)
        with connected(self.database) as connection:
            counts, features = in_transaction(connection, read)
        predictions = predictor.predict(features)
        with connected(self.database) as connection:
            verdicts = judge(connection, counts, predictions, self.rule, self.serving)
            write = partial(self._write, histories=histories, verdicts=verdicts, start=start, end=end)
            incidents, alerts = in_transaction(connection, write)
        return BackfillOutcome(
            None,
            len(verdicts),
            sum(verdict.is_anomalous for verdict in verdicts),
            predictions.calls,
            incidents,
            alerts,
        )

    def _write(
        self,
        cursor: Cursor,
        histories: Sequence[_History],
        verdicts: Sequence[Verdict],
        start: datetime,
        end: datetime,
    ) -> tuple[int, int]:
        names = as_json([history.series] for history in histories)
        cursor.execute(statement("detection/hold_judged_series"), {"series": names})
        save_verdicts(cursor, verdicts, self.now)
        incidents = alerts = 0
        for history in histories:
            if start < history.end:
                rebuilt, tellings = rebuild_incidents(
                    cursor,
                    history.series,
                    start,
                    min(end, history.end),
                    history.end,
                    self.rules,
                    tell=self.send_alerts,
                )
                incidents += len(rebuilt)
                alerts += save_alerts(cursor, alerts_of(tellings, self.link), self.now)
        return incidents, alerts


def _read(
    cursor: Cursor, histories: Sequence[_History], start: datetime, end: datetime, only_unjudged: bool
) -> tuple[list[Count], NDArray[np.float64]]:
    """Read the windows to judge and describe them; features have shape (n, k)."""
    cursor.execute(
        statement("detection/select_windows_of_period"),
        {
            "series": as_json([history.series] for history in histories),
            "start": start,
            "end": end,
            "judged_too": not only_unjudged,
        },
    )
    counts = [Count(*row) for row in cursor.fetchall()]
    features = [np.empty((0, len(FEATURE_NAMES)))]
    for series, own in groupby(counts, key=attrgetter("series")):
        starts = [count.window_start for count in own]
        features.append(
            features_of(epoch_seconds(starts), lookback_in_bulk(cursor, series, starts), holidays())
        )
    return counts, np.concatenate(features)

"""Measures how far the system is behind, by what the database and Airflow know.

None of the figures can look well because something stands still. The detection lag grows for as long as no
window is judged, for whatever reason; also before the first release. A DAG's age counts from its last
success, or from when it was switched on if that is later, and there is none while it is switched off or after
it was removed. What has happened since the present time was taken is no time ago, never less.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement


@dataclass(frozen=True)
class DagState:
    """What Airflow knows of a DAG.

    Attributes:
        dag_id: of the DAG.
        is_on: its schedule is heeded.
        succeeded_at: when its newest successful run ended; None without one.
    """

    dag_id: str
    is_on: bool
    succeeded_at: datetime | None


@dataclass(frozen=True)
class Figures:
    """How far the system is behind.

    Attributes:
        detection_lag: time since the end of the newest judged window, of the live series that is behind most;
            None while no series is live.
        oldest_unsent_alert: how long the oldest alert has waited in the outbox; none there is no time at all.
        dirty_windows: windows that wait for a recount.
        success_ages: time since the last success of each DAG that is switched on.
    """

    detection_lag: timedelta | None
    oldest_unsent_alert: timedelta
    dirty_windows: int
    success_ages: dict[str, timedelta]


def measure(database: Database, sources: Sequence[str], states: Sequence[DagState], now: datetime) -> Figures:
    """Measure everything, and keep since when each DAG is switched on.

    Args:
        database: with counts, verdicts and alerts.
        sources: names of the sources that are followed; at least one.
        states: of the DAGs that there are and that have a schedule.
        now: the present time.
    """
    with connected(database) as connection:
        watched = in_transaction(connection, partial(_watch, states=states, now=now))
        return in_transaction(
            connection, partial(_measure, sources=sources, states=states, watched=watched, now=now)
        )


def _watch(cursor: Cursor, states: Sequence[DagState], now: datetime) -> dict[str, datetime]:
    """Return since when each DAG that is on is watched."""
    on = [state.dag_id for state in states if state.is_on]
    cursor.executemany(statement("operations/watch_dag"), [(dag_id, now) for dag_id in on])
    cursor.execute(statement("operations/forget_other_dags"), {"dag_ids": json.dumps(on)})
    cursor.execute(statement("operations/select_watched_dags"))
    return dict(cursor.fetchall())


def _measure(
    cursor: Cursor,
    sources: Sequence[str],
    states: Sequence[DagState],
    watched: dict[str, datetime],
    now: datetime,
) -> Figures:
    cursor.execute(statement("operations/measure_detection"), {"sources": list(sources)})
    ((judged_until, unsent_since, dirty_windows),) = cursor.fetchall()
    return Figures(
        detection_lag=_since(judged_until, now) if judged_until else None,
        oldest_unsent_alert=_since(unsent_since or now, now),
        dirty_windows=dirty_windows,
        success_ages={
            state.dag_id: _since(max(state.succeeded_at or datetime.min, watched[state.dag_id]), now)
            for state in states
            if state.is_on
        },
    )


def _since(moment: datetime, now: datetime) -> timedelta:
    return max(now - moment, timedelta())

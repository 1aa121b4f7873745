from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymysql.connections import Connection

from vigil.database import Database, statement
from vigil.operations.measuring import DagState, Figures, measure
from vigil.windows import WINDOW

NOW = datetime(2026, 11, 2, 3, 7)
HOUR = timedelta(hours=1)


def put(connection: Connection[Any], sql: str, *rows: tuple[Any, ...]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(sql, rows)
    connection.commit()


def follow(
    connection: Connection[Any],
    series: str,
    judged_until: datetime,
    source: str = "shop",
    retired_at: datetime | None = None,
    watermark: datetime = NOW,
) -> None:
    """Put a live series into the database that has been judged up to a time."""
    live_from = datetime(2026, 11, 1)
    put(
        connection,
        "INSERT INTO series VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0)",
        (series, source, live_from, watermark, retired_at, live_from, judged_until, judged_until),
    )


def fall_silent(connection: Connection[Any], source: str, closed_at: datetime | None = None) -> None:
    put(
        connection,
        "INSERT INTO incidents (series, opened_at, last_anomalous, closed_at, kind, windows, peak_window,"
        " peak_score, model_version, alerted) VALUES (%s, %s, %s, %s, 'silent_source', 1, %s, 0, '', 1)",
        (source, NOW - HOUR, NOW, closed_at, NOW),
    )


def measured(database: Database, states: Sequence[DagState] = (), now: datetime = NOW) -> Figures:
    return measure(database, ["shop", "till"], states, now)


def test_the_lag_is_that_of_the_series_that_is_behind_most(
    connection: Connection[Any], database: Database
) -> None:
    assert measured(database).detection_lag is None
    follow(connection, "orders", NOW - WINDOW)
    follow(connection, "returns", NOW - 3 * WINDOW)
    assert measured(database).detection_lag == 3 * WINDOW
    assert measured(database, now=NOW + HOUR).detection_lag == 3 * WINDOW + HOUR


def test_series_that_nobody_judges_any_more_or_yet_do_not_count(
    connection: Connection[Any], database: Database
) -> None:
    follow(connection, "orders", NOW - WINDOW)
    follow(connection, "retired", NOW - 9 * HOUR, retired_at=NOW - 8 * HOUR)
    follow(connection, "history", NOW - 9 * HOUR, watermark=datetime(2026, 10, 1))
    follow(connection, "of-a-source-that-is-followed-no-more", NOW - 9 * HOUR, source="gone")
    assert measured(database).detection_lag == WINDOW


def test_a_silent_source_hides_nothing_of_the_others_and_is_not_hidden_itself(
    connection: Connection[Any], database: Database
) -> None:
    follow(connection, "orders", NOW - HOUR)
    follow(connection, "payments", NOW - 2 * WINDOW, source="till")
    assert measured(database).detection_lag == HOUR
    fall_silent(connection, "shop")
    assert measured(database).detection_lag == 2 * WINDOW
    fall_silent(connection, "till")
    assert measured(database).detection_lag == HOUR, "nothing is judged at all"


def test_a_silence_that_is_over_does_not_excuse(connection: Connection[Any], database: Database) -> None:
    follow(connection, "orders", NOW - HOUR)
    follow(connection, "payments", NOW, source="till")
    fall_silent(connection, "shop", closed_at=NOW)
    assert measured(database).detection_lag == HOUR


def test_only_alerts_in_the_outbox_age(connection: Connection[Any], database: Database) -> None:
    assert measured(database).oldest_unsent_alert == timedelta()
    put(
        connection,
        "INSERT INTO alerts (identity, subject, title, body, attributes, created_at, published_at)"
        " VALUES (%s, 'orders', '', '', '{}', %s, %s)",
        ("sent", NOW - 9 * HOUR, NOW),
        ("waits", NOW - 2 * HOUR, None),
        ("newer", NOW - HOUR, None),
    )
    assert measured(database).oldest_unsent_alert == 2 * HOUR


def test_dirty_windows_are_counted(connection: Connection[Any], database: Database) -> None:
    put(connection, "INSERT INTO dirty_windows VALUES ('orders', %s)", (NOW,), (NOW - WINDOW,))
    assert measured(database).dirty_windows == 2


def test_an_age_counts_from_the_last_success_or_from_when_the_dag_was_switched_on(
    database: Database,
) -> None:
    def ages(after: timedelta, **dags: tuple[bool, datetime | None]) -> dict[str, timedelta]:
        states = [DagState(dag_id, *state) for dag_id, state in dags.items()]
        return measured(database, states, NOW + after).success_ages

    never, long_ago = None, NOW - 99 * HOUR
    assert ages(timedelta(), weekly=(True, never), daily=(False, never)) == {"weekly": timedelta()}
    assert ages(HOUR, weekly=(True, never), daily=(False, never)) == {"weekly": HOUR}
    assert ages(2 * HOUR, weekly=(True, NOW + HOUR), daily=(True, long_ago)) == {
        "weekly": HOUR,
        "daily": timedelta(),
    }
    assert ages(3 * HOUR, weekly=(False, NOW + HOUR), daily=(True, long_ago)) == {"daily": HOUR}
    assert ages(9 * HOUR, weekly=(True, NOW + HOUR), daily=(True, long_ago)) == {
        "weekly": timedelta(),
        "daily": 7 * HOUR,
    }


def test_what_happens_while_it_is_measured_is_no_time_ago(
    connection: Connection[Any], database: Database
) -> None:
    soon = NOW + timedelta(seconds=1)
    follow(connection, "orders", soon)
    put(
        connection,
        "INSERT INTO alerts (identity, subject, title, body, attributes, created_at)"
        " VALUES ('new', 'orders', '', '', '{}', %s)",
        (soon,),
    )
    figures = measured(database, [DagState("weekly", True, soon)])
    assert figures.detection_lag == figures.oldest_unsent_alert == timedelta()
    assert figures.success_ages == {"weekly": timedelta()}


def test_a_dag_that_was_removed_is_forgotten_and_begins_anew_when_it_comes_back(
    connection: Connection[Any], database: Database
) -> None:
    def watched() -> list[str]:
        connection.rollback()
        with connection.cursor() as cursor:
            cursor.execute(statement("operations/select_watched_dags"))
            return [dag_id for dag_id, _ in cursor.fetchall()]

    weekly, daily = DagState("weekly", True, None), DagState('da"i_ly', True, None)
    measured(database, [weekly, daily])
    assert measured(database, [weekly], NOW + HOUR).success_ages == {"weekly": HOUR}
    assert watched() == ["weekly"]
    back = measured(database, [weekly, daily], NOW + 2 * HOUR)
    assert back.success_ages == {"weekly": 2 * HOUR, 'da"i_ly': timedelta()}
    assert watched() == ['da"i_ly', "weekly"]
    measured(database, [])
    assert watched() == []


@pytest.mark.usefixtures("database")
def test_measuring_reads_few_rows_however_many_alerts_were_sent(connection: Connection[Any]) -> None:
    put(
        connection,
        "INSERT INTO alerts (identity, subject, title, body, attributes, created_at, published_at)"
        " VALUES (%s, 'orders', '', '', '{}', %s, %s)",
        *((str(number), NOW, NOW) for number in range(2000)),
    )
    put(
        connection,
        "INSERT INTO incidents (series, opened_at, last_anomalous, closed_at, kind, windows, peak_window,"
        " peak_score, model_version, alerted) VALUES ('orders', %s, %s, %s, 'high', 1, %s, 0, '', 1)",
        *((NOW - number * HOUR, NOW, NOW, NOW) for number in range(2000)),
    )
    follow(connection, "orders", NOW)
    few = 50  # what earlier tests have deleted counts until the server has purged it
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE alerts, incidents, series")
        explain = f"EXPLAIN FORMAT=TRADITIONAL {statement('operations/measure_detection')}"
        cursor.execute(explain, {"sources": ["shop"]})
        columns = [column[0] for column in cursor.description]
        plan = {row["table"]: row for row in (dict(zip(columns, r, strict=True)) for r in cursor.fetchall())}
    assert plan["a"]["key"] == "alerts_unpublished"
    assert int(plan["a"]["rows"]) <= few
    assert plan["i"]["key"] in ("PRIMARY", "incidents_open")
    assert int(plan["i"]["rows"]) <= few

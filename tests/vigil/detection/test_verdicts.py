from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.detection.doubles import NOW, at
from vigil.database import statement
from vigil.detection.rows import as_json
from vigil.detection.verdicts import HIGH, LOW, NORMAL, Verdict, save_verdicts
from vigil.windows import WINDOW

Counted = Callable[..., None]
Rows = Callable[..., list[tuple[Any, ...]]]
KEPT = "SELECT observed, revision, expected, usual FROM window_counts ORDER BY series, window_start"


def verdict(
    observed: int,
    side: str = NORMAL,
    *,
    series: str = "orders",
    window: int = 0,
    revision: int = 1,
    version: str = "event-counts/1",
    expected: float = 20.0,
    bounds: tuple[float, float] = (8.7, 35.8),
    score: float = 1.0,
) -> Verdict:
    start = at("12:00") + window * WINDOW
    return Verdict(series, start, revision, version, observed, expected, *bounds, score, False, side)


@pytest.fixture
def save(connection: Connection[Any]) -> Callable[..., None]:
    def write(*verdicts: Verdict) -> None:
        connection.commit()
        with connection.cursor() as cursor:
            save_verdicts(cursor, verdicts, NOW)
        connection.commit()

    return write


@pytest.mark.parametrize(
    ("observed", "side", "usual"),
    [
        (20, NORMAL, None),
        (500, NORMAL, None),
        (90, HIGH, 36),
        (0, LOW, 9),
        # It was anomalous by its spans, and lies inside its band: then it is as usual as it was.
        (30, HIGH, 30),
        (12, LOW, 12),
    ],
)
def test_an_anomalous_window_counts_as_the_bound_that_it_went_beyond(
    observed: int, side: str, usual: int | None
) -> None:
    assert verdict(observed, side).usual == usual


def test_what_was_expected_and_what_is_usual_stand_beside_the_count(
    save: Callable[..., None], counted: Counted, rows: Rows
) -> None:
    counted("a", [20, 90], first=at("12:00"), live_from=NOW)
    counted("ü", [0], first=at("12:00"), live_from=NOW)
    save(
        verdict(20, series="a", expected=0.1 + 0.2),
        verdict(90, HIGH, series="a", window=1),
        verdict(0, LOW, series="ü"),
    )
    assert rows(KEPT) == [(20, 1, 0.1 + 0.2, None), (90, 1, 20.0, 36), (0, 1, 20.0, 9)]


def test_a_verdict_on_an_older_count_touches_nothing_beside_the_newer_one(
    save: Callable[..., None], counted: Counted, rows: Rows
) -> None:
    counted("orders", [90], first=at("12:00"), live_from=NOW)
    rows("UPDATE window_counts SET observed = 91, revision = 2")
    save(verdict(91, HIGH, revision=2, expected=21.0))
    save(verdict(90, HIGH, revision=1, expected=5.0))
    assert rows(KEPT) == [(91, 2, 21.0, 36)]
    assert len(rows("SELECT * FROM predictions")) == 2


def test_a_window_that_is_normal_by_a_later_verdict_counts_as_it_is_again(
    save: Callable[..., None], counted: Counted, rows: Rows
) -> None:
    counted("orders", [90], first=at("12:00"), live_from=NOW)
    save(verdict(90, HIGH))
    save(verdict(90, version="event-counts/2", expected=85.0))
    assert rows(KEPT) == [(90, 1, 85.0, None)]


def test_a_recount_forgets_what_was_usual_only_if_it_changes_the_count(
    save: Callable[..., None], counted: Counted, rows: Rows, connection: Connection[Any]
) -> None:
    counted("orders", [90], first=at("12:00"), live_from=NOW)
    save(verdict(90, HIGH))
    for count, kept in ((90, (90, 1, 20.0, 36)), (91, (91, 2, 20.0, None))):
        with connection.cursor() as cursor:
            counts = as_json([("orders", at("12:00"), count)])
            cursor.execute(statement("detection/save_counts"), {"now": NOW, "counts": counts})
        connection.commit()
        assert rows(KEPT) == [kept]


def test_a_window_that_has_no_count_any_more_is_passed_over(
    save: Callable[..., None], rows: Rows, database: object
) -> None:
    save(verdict(90, HIGH))
    assert rows(KEPT) == []


@pytest.mark.parametrize(
    ("expected", "bounds", "usual"),
    [(0.0, (0.0, 0.4), 0), (5e-324, (0.0, 1.7e-9), 0), (4e9, (3.9e9, 4.2e9), 2**32 - 1)],
    ids=["nothing", "next to nothing", "billions"],
)
def test_expectations_of_any_size_are_kept(
    save: Callable[..., None],
    counted: Counted,
    rows: Rows,
    expected: float,
    bounds: tuple[float, float],
    usual: int,
) -> None:
    counted("orders", [2**32 - 1], first=at("12:00"), live_from=NOW)
    save(verdict(2**32 - 1, HIGH, expected=expected, bounds=bounds, score=1e300))
    ((_, _, kept, as_usual),) = rows(KEPT)
    assert kept == pytest.approx(expected)
    assert as_usual == min(usual, round(bounds[1]))


def test_a_model_that_expects_more_than_can_be_counted_breaks_nothing(
    save: Callable[..., None], counted: Counted, rows: Rows
) -> None:
    counted("orders", [5], first=at("12:00"), live_from=NOW)
    save(verdict(5, LOW, expected=1e12, bounds=(9e11, 2e12), score=-1e300))
    ((observed, _, expected, usual),) = rows(KEPT)
    assert (observed, expected) == (5, 1e12)
    assert usual is None or usual >= observed

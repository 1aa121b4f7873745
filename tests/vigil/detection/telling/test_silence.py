from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.vigil.detection.doubles import Expecting, always, at
from vigil.database import Database
from vigil.detection.judging import JudgeOutcome, judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.detection.sources import NEVER
from vigil.settings import Settings

Rows = Callable[..., list[tuple[Any, ...]]]
Judge = Callable[..., JudgeOutcome]
INCIDENTS = "SELECT series, opened_at, closed_at, kind, alerted FROM incidents"


@pytest.fixture
def judge(database: Database, pipeline: Pipeline, settings: Settings) -> Judge:
    def run(now: Any) -> JudgeOutcome:
        return judge_due_windows(database, always(Expecting(20)), pipeline, settings, now)

    return run


def test_a_source_that_stands_still_is_one_incident_told_once_even_without_a_model(
    judge: Judge, counted: Callable[..., None], rows: Rows
) -> None:
    for series in ("orders", "clicks"):
        counted(series, [20], first=at("11:00"), live_from=at("11:00"))
    assert judge(at("11:20")).opened == 0
    outcome = judge(at("11:20:01"))
    assert (outcome.opened, outcome.alerts) == (1, 1)
    assert judge(at("11:40")).opened == 0
    assert rows(INCIDENTS) == [("shop", at("11:05"), None, "silent_source", 1)]
    assert rows("SELECT identity, subject FROM alerts") == [("group/shop-20260304T1105Z/opened/1", "group")]


def test_it_closes_when_the_source_has_caught_up(
    judge: Judge, counted: Callable[..., None], rows: Rows
) -> None:
    counted("orders", [20], first=at("11:00"), live_from=at("11:00"))
    judge(at("12:00"))
    rows("UPDATE series SET watermark = %s", at("11:30"))
    assert judge(at("12:01")).closed == 0
    rows("UPDATE series SET watermark = %s", at("12:01"))
    outcome = judge(at("12:02"))
    assert (outcome.closed, outcome.alerts) == (1, 1)
    assert judge(at("12:02")).closed == 0
    assert rows(INCIDENTS) == [("shop", at("11:05"), at("12:00"), "silent_source", 1)]
    assert rows("SELECT windows FROM incidents") == [(11,)]
    assert rows("SELECT identity FROM alerts WHERE identity LIKE %s", "%closed%") == [
        ("group/shop-20260304T1105Z/closed/1",)
    ]


def test_a_source_of_retired_or_historic_series_is_never_silent(
    judge: Judge, counted: Callable[..., None], rows: Rows
) -> None:
    counted("orders", [20], first=at("11:00"), live_from=at("11:00"), retired=True)
    counted("clicks", [20], first=at("11:00"), live_from=NEVER)
    assert judge(at("11:00") + timedelta(days=30)).opened == 0


def test_a_source_that_left_the_pipeline_is_not_missed(
    database: Database, settings: Settings, pipeline: Pipeline, counted: Callable[..., None]
) -> None:
    counted("orders", [20], first=at("11:00"), live_from=at("11:00"))
    other = pipeline.model_copy(
        update={"sources": (pipeline.sources[0].model_copy(update={"name": "other"}),)}
    )
    outcome = judge_due_windows(database, always(Expecting(20)), other, settings, at("13:00"))
    assert outcome.opened == 0


def test_windows_of_a_silent_source_are_unknown_and_not_judged(
    judge: Judge, counted: Callable[..., None], released: Callable[..., str], rows: Rows
) -> None:
    released()
    counted("orders", [20], first=at("11:00"), live_from=at("11:00"))
    judge(at("13:00"))
    assert rows("SELECT window_start FROM predictions") == [(at("11:00"),)]

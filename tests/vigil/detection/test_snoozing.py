from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.vigil.detection.doubles import NOW, Expecting, always, at
from vigil.database import Database
from vigil.detection.incident_options import Maintenance
from vigil.detection.judging import JudgeOutcome, judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.detection.snoozing import snooze
from vigil.errors import SettingsError
from vigil.settings import Settings

Rows = Callable[..., list[tuple[Any, ...]]]
ALERTS = "SELECT identity FROM alerts ORDER BY alert_id"
TWO_HOURS = {"series": "ord*", "hours": 2, "reason": "moving house"}


@pytest.fixture
def judge(
    database: Database, pipeline: Pipeline, settings: Settings, counted: Callable[..., None]
) -> Callable[..., JudgeOutcome]:
    """Count a window and judge it."""

    def run(time: str, count: int = 90, mended: dict[str, Any] | None = None) -> JudgeOutcome:
        counted("orders", [count], first=at(time), live_from=at("08:00"))
        now = at(time) + timedelta(minutes=6)
        return judge_due_windows(
            database, always(Expecting(20)), pipeline.model_copy(update=mended or {}), settings, now
        )

    return run


def test_a_snooze_puts_alerts_off_and_what_still_goes_on_is_told_after_it(
    judge: Callable[..., JudgeOutcome], database: Database, released: Callable[..., str], rows: Rows
) -> None:
    released()
    snooze(database, TWO_HOURS, "snooze_alerts/1", at("10:03"))
    for time in ("10:00", "10:05", "11:55"):
        assert judge(time).opened == 0
    assert rows("SELECT opened_at, muted_by FROM incidents") == [(at("10:00"), "snooze: moving house")]
    assert rows(ALERTS) == []
    # The snooze ends at 12:03, within the window of 12:00.
    assert judge("12:00").alerts == 0
    assert judge("12:05").alerts == 1
    assert rows("SELECT title FROM alerts") == [
        ("orders is high since 10:00: 90 events, expected 20 (minor)",)
    ]


def test_a_snooze_may_be_ended_and_set_again(
    judge: Callable[..., JudgeOutcome], database: Database, released: Callable[..., str], rows: Rows
) -> None:
    released()
    snooze(database, TWO_HOURS, "snooze_alerts/1", at("10:00"))
    assert snooze(database, {"series": "other", "end": True}, "snooze_alerts/2", at("10:10")).ended == 0
    assert snooze(database, {"series": "ord*", "end": True}, "snooze_alerts/3", at("10:10")).ended == 1
    assert judge("10:05").alerts == 0
    assert judge("10:10").alerts == 1
    # Clearing the run that set it does not bring it back.
    snooze(database, TWO_HOURS, "snooze_alerts/1", at("10:20"))
    assert rows("SELECT ends_at FROM snoozes") == [(at("10:10"),)]


def test_what_opened_and_ended_in_maintenance_is_recorded_and_never_told(
    judge: Callable[..., JudgeOutcome], released: Callable[..., str], rows: Rows
) -> None:
    released()
    calendar = Maintenance.model_validate(
        {
            "series": "orders",
            "from": "2026-03-04T10:00:00Z",
            "to": "2026-03-04T11:00:00Z",
            "reason": "new till",
        }
    )
    for time, count in (("10:00", 90), ("10:05", 20), ("11:05", 20)):
        judge(time, count, mended={"maintenance": (calendar,)})
    assert rows("SELECT opened_at, closed_at, alerted, muted_by FROM incidents") == [
        (at("10:00"), at("10:05"), 0, "maintenance: new till")
    ]
    assert rows(ALERTS) == []


def test_an_end_that_fell_into_a_snooze_is_told_after_it(
    judge: Callable[..., JudgeOutcome], database: Database, released: Callable[..., str], rows: Rows
) -> None:
    released()
    judge("10:00")
    snooze(database, TWO_HOURS, "snooze_alerts/1", at("10:06"))
    for time in ("10:05", "10:10"):
        assert judge(time, 20).alerts == 0
    assert judge("12:10", 20).closed == 1
    assert rows(ALERTS) == [("orders/20260304T1000Z/opened/1",), ("orders/20260304T1000Z/closed/1",)]


@pytest.mark.parametrize("opens_again", [False, True])
def test_a_correction_that_fell_into_a_snooze_is_told_after_it(
    judge: Callable[..., JudgeOutcome],
    database: Database,
    released: Callable[..., str],
    rows: Rows,
    opens_again: bool,
) -> None:
    released()
    for time, count in (("09:55", 20), ("10:00", 2)):
        judge(time, count)
    snooze(database, TWO_HOURS, "snooze_alerts/1", at("10:10"))
    rows("UPDATE window_counts SET observed = 20, revision = 2 WHERE window_start = %s", at("10:00"))
    rows("INSERT INTO unjudged_windows VALUES ('orders', %s)", at("10:00"))
    # Something else breaks meanwhile, and goes on.
    assert judge("10:20", 90 if opens_again else 20).alerts == 0
    assert rows("SELECT windows, cleared_at IS NULL, muted_by FROM incidents LIMIT 1") == [
        (0, 0, "snooze: moving house")
    ]
    assert judge("12:00", 20).alerts == 0
    assert judge("12:15", 20).alerts == 1
    assert judge("12:20", 20).alerts == 0
    assert [identity for (identity,) in rows(ALERTS)] == [
        "orders/20260304T1000Z/opened/1",
        "orders/20260304T1000Z/corrected/1",
    ]


def test_an_end_found_in_a_snooze_is_told_after_it_though_another_incident_followed(
    judge: Callable[..., JudgeOutcome], database: Database, released: Callable[..., str], rows: Rows
) -> None:
    released()
    judge("10:00")
    snooze(database, TWO_HOURS, "snooze_alerts/1", at("10:06"))
    for time in ("10:05", "10:10", "10:40", "10:45"):
        judge(time, 20)
    rows("UPDATE window_counts SET observed = 90, revision = 2 WHERE window_start = %s", at("10:40"))
    rows("INSERT INTO unjudged_windows VALUES ('orders', %s)", at("10:40"))
    assert judge("10:50", 20).alerts == 0
    assert judge("12:15", 20).closed == 1
    assert rows(ALERTS) == [("orders/20260304T1000Z/opened/1",), ("orders/20260304T1000Z/closed/1",)]


def test_a_silent_source_can_be_snoozed_and_is_told_when_that_is_over(
    judge: Callable[..., JudgeOutcome],
    database: Database,
    pipeline: Pipeline,
    settings: Settings,
    rows: Rows,
) -> None:
    judge("10:00", 20)
    snooze(database, {**TWO_HOURS, "series": "source:shop"}, "snooze_alerts/1", at("10:10"))

    def look(time: str) -> JudgeOutcome:
        return judge_due_windows(database, always(Expecting(20)), pipeline, settings, at(time))

    assert (look("10:30").opened, look("11:00").alerts) == (1, 0)
    assert rows("SELECT kind, alerted, muted_by FROM incidents") == [
        ("silent_source", 0, "snooze: moving house")
    ]
    assert look("12:15").alerts == 1
    assert look("12:20").alerts == 0
    assert rows(ALERTS) == [("group/shop-20260304T1005Z/opened/1",)]
    snooze(database, {**TWO_HOURS, "series": "source:shop"}, "snooze_alerts/2", at("12:21"))
    rows("UPDATE series SET watermark = %s", at("12:25"))
    assert (look("12:30").closed, look("12:31").alerts) == (1, 0)
    rows("UPDATE series SET watermark = %s", at("14:25"))
    assert look("14:30").alerts == 1
    assert rows(ALERTS)[1] == ("group/shop-20260304T1005Z/closed/1",)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"series": "a", "reason": "r"}, "set either 'hours' or 'until'"),
        ({"series": "a", "reason": "r", "hours": 1, "until": "2026-03-05T00:00:00Z"}, "and not both"),
        ({"series": "a", "hours": 1, "reason": " "}, "needs a 'reason'"),
        ({"series": "a", "hours": 1, "end": True}, "leave out 'hours' and 'until'"),
        ({"series": "a b", "hours": 1, "reason": "r"}, "should match pattern"),
        ({"series": "a", "until": "2026-03-04T00:00:00Z", "reason": "r"}, "until is over since"),
        ({"series": "a", "until": "2026-03-05T00:00:00", "reason": "r"}, "timezone"),
        ({"series": "a", "hour": 1, "reason": "r"}, "did you mean hours?"),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused_and_nothing_is_snoozed(
    form: dict[str, Any], message: str, database: Database, rows: Rows
) -> None:
    with pytest.raises(SettingsError) as refusal:
        snooze(database, form, "snooze_alerts/1", NOW)
    assert message in str(refusal.value)
    assert rows("SELECT * FROM snoozes") == []

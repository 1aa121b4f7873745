from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vigil.detection.doubles import NOW, Expecting, always, at
from tests.vigil.detection.incidents.test_incident import mutes_drawn, rules_drawn, verdict, verdict_lists
from vigil.database import Database
from vigil.detection.incidents import correcting
from vigil.detection.incidents.correcting import correct, tell_endings
from vigil.detection.incidents.incident import IncidentRules, go_on
from vigil.detection.incidents.mutes import Mute, reason_at
from vigil.detection.judging import JudgeOutcome, judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.detection.verdicts import Verdict
from vigil.settings import Settings
from vigil.windows import WINDOW

Rows = Callable[..., list[tuple[Any, ...]]]
Judge = Callable[..., JudgeOutcome]
Counted = Callable[..., None]
INCIDENTS = (
    "SELECT opened_at, last_anomalous, windows, cleared_at IS NOT NULL FROM incidents ORDER BY opened_at"
)
ALERTS = "SELECT identity FROM alerts ORDER BY alert_id"


def flipped(verdict: Verdict) -> Verdict:
    what, score = ("normal", 1.0) if verdict.is_anomalous else ("high", 5e4)
    return replace(verdict, verdict=what, score=score, revision=verdict.revision + 1)


@settings(max_examples=250, deadline=None)
@given(verdict_lists(), rules_drawn, mutes_drawn, st.data())
def test_after_any_recount_every_anomalous_window_lies_in_one_incident(
    verdicts: list[Verdict], rules: IncidentRules, mutes: list[Mute], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(verdicts)))
    judged, later = verdicts[:cut], verdicts[cut:]
    held = {v.window_start: v for v in judged}
    judged_until = judged[-1].window_start + WINDOW if judged else datetime.min
    folded = go_on(None, judged, rules, mutes)
    incidents = {i.opened_at: i for i in folded.incidents}
    tellings = folded.tellings

    def stored(cursor: Any, series: str, start: datetime, end: datetime) -> list[Verdict]:
        return [v for at, v in sorted(held.items()) if start <= at < end]

    with patch.object(correcting, "verdicts_that_hold", stored):
        for _ in range(3 if judged else 0):
            chosen = data.draw(st.sets(st.sampled_from([v.window_start for v in judged]), max_size=4))
            again = [flipped(held[start]) for start in sorted(chosen)]
            held |= {v.window_start: v for v in again}
            if again:
                near = sorted(incidents.values(), key=lambda i: i.opened_at)
                corrected = correct(None, near, again, judged_until, rules, mutes, NOW)  # type: ignore[arg-type]
                incidents |= {i.opened_at: i for i in corrected.incidents}
                tellings = [*tellings, *corrected.tellings]
    standing = [i for i in incidents.values() if i.cleared_at is None]
    assert sum(i.windows for i in standing) == sum(v.is_anomalous for v in held.values())
    newest = max(standing, key=lambda i: i.opened_at, default=None)
    assert all(i.closed_at for i in standing if i is not newest)

    # The last window lies behind every mute.
    later = [*later, verdict(10_000, "normal")]
    others = [i for i in incidents.values() if i is not newest]
    for folded in (
        tell_endings(others, [v.window_start for v in later], mutes),
        go_on(newest, later, rules, mutes),
    ):
        incidents |= {i.opened_at: i for i in folded.incidents}
        tellings = [*tellings, *folded.tellings]
    # Nothing is told twice, and whoever was told of an incident that never was is told so.
    identities = [(t.incident.opened_at, t.kind, t.n) for t in tellings]
    assert len(set(identities)) == len(identities)
    for incident in incidents.values():
        told = incident.told
        assert told.corrections <= told.openings <= told.corrections + 1
        assert incident.untold_ending is None
    for telling in tellings:
        if telling.kind in ("closed", "corrected"):
            assert telling.incident.told.at
            assert reason_at(telling.incident.told.at, mutes) is None


def test_an_end_is_told_once_at_the_first_window_outside_of_every_mute() -> None:
    (incident,) = go_on(None, [verdict(0, "high")], IncidentRules(threshold=1000)).incidents
    cleared = replace(incident, cleared_at=NOW)
    windows = [at(time) for time in ("10:00", "10:05", "10:10", "10:15")]
    first, second = Mute("*", at("10:00"), at("10:05"), "one"), Mute("*", at("10:05"), at("10:12"), "two")
    put_off = tell_endings([cleared], windows[:2], [first, second])
    assert (put_off.incidents, put_off.tellings) == ([replace(cleared, muted_by="two")], [])
    assert tell_endings(put_off.incidents, windows[:2], [second, first]).incidents == []
    told = tell_endings(put_off.incidents, windows, [first, second])
    assert [(t.kind, t.incident.told.at) for t in told.tellings] == [("corrected", at("10:15"))]
    assert tell_endings(told.incidents, windows, []).tellings == []


@pytest.fixture
def judge(database: Database, pipeline: Pipeline, settings: Settings) -> Judge:
    def run(now: datetime = NOW + timedelta(hours=1)) -> JudgeOutcome:
        calm = pipeline.model_copy(update={"silent_after_s": 10**9})
        return judge_due_windows(database, always(Expecting(20)), calm, settings, now)

    return run


@pytest.fixture
def story_so_far(counted: Counted, released: Callable[..., str], judge: Judge) -> None:
    """12:10 and 12:15 are high; the calm from 12:20 on has ended it."""
    released()
    counted("orders", [20, 20, 90, 95, 20, 20, 20], first=at("12:00"), live_from=at("12:00"))
    judge()


@pytest.fixture
def recount(rows: Rows, judge: Judge, story_so_far: None) -> Callable[..., JudgeOutcome]:
    """Count some windows again, and judge them."""

    def run(**counts: int) -> JudgeOutcome:
        for time, count in counts.items():
            start = at(f"{time[1:3]}:{time[3:]}")
            change = "UPDATE window_counts SET observed = %s, revision = revision + 1 WHERE window_start = %s"
            rows(change, count, start)
            rows("INSERT INTO unjudged_windows VALUES ('orders', %s)", start)
        return judge()

    return run


def test_a_recount_that_clears_an_incident_is_told_once_as_a_correction(
    recount: Callable[..., JudgeOutcome], rows: Rows
) -> None:
    told = rows(ALERTS)
    assert recount(t1210=20).alerts == 0
    assert recount(t1215=20).alerts == 1
    assert rows(INCIDENTS) == [(at("12:10"), at("12:15"), 0, 1)]
    assert rows(ALERTS) == [*told, ("orders/20260304T1210Z/corrected/1",)]
    assert recount(t1215=21).alerts == 0


def test_an_incident_that_shrinks_is_brought_up_to_date_in_silence(
    recount: Callable[..., JudgeOutcome], rows: Rows
) -> None:
    assert recount(t1215=20).alerts == 0
    assert rows(INCIDENTS) == [(at("12:10"), at("12:10"), 1, 0)]
    assert rows("SELECT peak_window, peak_observed, closed_at FROM incidents") == [
        (at("12:10"), 90, at("12:15"))
    ]


def test_an_incident_that_a_recount_reveals_is_told_late_and_says_so(
    recount: Callable[..., JudgeOutcome], rows: Rows
) -> None:
    assert recount(t1225=1).alerts == 2
    assert rows(INCIDENTS)[1] == (at("12:25"), at("12:25"), 1, 0)
    assert [identity for (identity,) in rows(ALERTS)][2:] == [
        "orders/20260304T1225Z/opened/1",
        "orders/20260304T1225Z/closed/1",
    ]
    ((title, body),) = rows("SELECT title, body FROM alerts WHERE identity LIKE '%%T1225Z/opened%%'")
    assert title.startswith("orders was low: 1 event, expected 20")
    assert "A recount found this out" in body
    assert "It lasted from 2026-03-04 12:25 to 2026-03-04 12:30 UTC, for 5 min." in body


def test_what_was_taken_back_and_comes_again_is_told_again(
    recount: Callable[..., JudgeOutcome], rows: Rows
) -> None:
    recount(t1210=20, t1215=20)
    recount(t1210=80)
    recount(t1210=20)
    assert [identity.split("/", 2)[2] for (identity,) in rows(ALERTS)] == [
        "opened/1", "closed/1", "corrected/1", "opened/2", "closed/2", "corrected/2",
    ]  # fmt: skip


def test_a_window_beside_an_incident_is_added_to_it_in_silence(
    recount: Callable[..., JudgeOutcome], rows: Rows
) -> None:
    assert recount(t1205=90, t1220=90).alerts == 0
    assert rows(INCIDENTS) == [(at("12:10"), at("12:20"), 4, 0)]


def test_what_a_recount_adds_to_an_incident_stays_with_it(
    recount: Callable[..., JudgeOutcome], rows: Rows
) -> None:
    recount(t1215=20, t1220=90, t1225=90)
    assert rows(INCIDENTS) == [(at("12:10"), at("12:25"), 3, 0)]
    recount(t1215=90)
    assert rows(INCIDENTS) == [(at("12:10"), at("12:25"), 4, 0)]


def test_an_open_incident_goes_on_from_what_a_recount_left_of_it(
    recount: Callable[..., JudgeOutcome], counted: Counted, judge: Judge, rows: Rows
) -> None:
    counted("orders", [90, 90], first=at("12:35"), live_from=at("12:00"))
    judge()
    assert recount(t1240=20).closed == 1
    counted("orders", [90], first=at("12:45"), live_from=at("12:00"))
    assert judge().opened == 1
    assert [row[0] for row in rows(INCIDENTS)] == [at("12:10"), at("12:35"), at("12:45")]


def test_a_recount_and_new_windows_in_one_step_come_out_right(
    recount: Callable[..., JudgeOutcome], counted: Counted, rows: Rows
) -> None:
    counted("orders", [90, 90], first=at("12:35"), live_from=at("12:00"))
    recount(t1210=20, t1215=20)
    assert rows(INCIDENTS) == [(at("12:10"), at("12:15"), 0, 1), (at("12:35"), at("12:40"), 2, 0)]
    assert [identity.split("/", 1)[1] for (identity,) in rows(ALERTS)][2:] == [
        "20260304T1210Z/corrected/1",
        "20260304T1235Z/opened/1",
    ]

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.vigil.detection.doubles import Expecting, always, at
from tests.vigil.detection.incidents.test_incident import HOUR, RULES, story
from vigil.aws import Aws
from vigil.database import Database
from vigil.detection import judging
from vigil.detection.incidents.incident import Incident, go_on
from vigil.detection.incidents.mass import calm_of, outbreak
from vigil.detection.judging import JudgeOutcome, judge_due_windows
from vigil.detection.outbox import relay
from vigil.detection.pipeline import Pipeline
from vigil.detection.snoozing import snooze
from vigil.settings import Settings
from vigil.windows import WINDOW

Rows = Callable[..., list[tuple[Any, ...]]]
Judge = Callable[..., JudgeOutcome]
Story = Callable[..., None]
NOON, EVENING = at("12:00"), at("20:00")
ALERTS = "SELECT identity FROM alerts ORDER BY alert_id"
SERIES = [f"series-{number}" for number in range(11)]
OPENED, CLOSED = "group/20260304T1205Z/opened/1", "group/20260304T1205Z/closed/1"


@pytest.fixture
def judge(database: Database, pipeline: Pipeline, settings: Settings) -> Judge:
    """Judge; five of six series that break within a quarter of an hour are a mass outage."""
    incidents = pipeline.incidents.model_copy(update={"mass_series": 5, "mass_share": 0.8})
    calm = pipeline.model_copy(update={"silent_after_s": 10**9, "incidents": incidents})

    def run(now: datetime = EVENING, predictor: Expecting | None = None) -> JudgeOutcome:
        return judge_due_windows(database, always(predictor or Expecting(20)), calm, settings, now)

    return run


@pytest.fixture
def put(counted: Callable[..., None], released: Callable[..., str]) -> Story:
    """Count windows from a time on, those of each series by signs."""
    released()

    def count(stories: Sequence[str], first: datetime = NOON) -> None:
        for series, signs in zip(SERIES, stories, strict=False):
            counts = [{".": 20, "h": 90, "l": 2, "0": 0}[sign] for sign in signs]
            counted(series, counts, first=first, live_from=at("12:00"))

    return count


@pytest.fixture
def live(put: Story, judge: Judge) -> Callable[[Sequence[str]], None]:
    """Count and judge a window after the other."""

    def run(stories: Sequence[str]) -> None:
        for place in range(len(stories[0])):
            start = at("12:00") + place * WINDOW
            put([signs[place] for signs in stories], start)
            judge(start + timedelta(minutes=6))

    return run


def told(rows: Rows) -> list[str]:
    return [identity for (identity,) in rows(ALERTS)]


MASS = [".00..", ".00..", ".hh..", ".ll..", "..h..", "....."]


def test_series_that_break_at_once_are_told_in_one_message_and_their_end_in_another(
    live: Callable[[Sequence[str]], None], rows: Rows
) -> None:
    live([".0...", ".0...", ".h...", ".l...", ".h...", "....."])
    assert told(rows) == [OPENED, CLOSED]
    assert rows("SELECT kind, closed_at, alerted FROM incidents WHERE series = 'group'") == [
        ("mass", at("12:10"), 1)
    ]
    assert rows("SELECT COUNT(*), SUM(alerted) FROM incidents WHERE series <> 'group'") == [(5, 0)]
    (opening, closing) = rows("SELECT title, body FROM alerts ORDER BY alert_id")
    assert opening[0] == "Mass outage: 5 series broke at once (major)"
    assert "since 2026-03-04 12:05 UTC: 2 high, 3 low, 2 of them without any event." in opening[1]
    assert "- series-0 low: 0 events, expected 20 (major)" in opening[1]
    assert closing[0] == "Mass outage of 5 series is over after 5 min (major)"


def test_what_was_published_before_stays_told_and_gets_its_end_after_the_outage(
    live: Callable[[Sequence[str]], None], judge: Judge, put: Story, rows: Rows,
    database: Database, settings: Settings, aws: Aws,
) -> None:  # fmt: skip
    topic = aws.client("sns").create_topic(Name="mass")["TopicArn"]
    live([".0", ".0", ".h", ".l", "..", ".."])
    assert len(told(rows)) == 4
    relay(database, aws.client("sns"), topic, at("12:11"))
    for place, signs in enumerate(("0000h.", "......", "......", "......"), start=2):
        start = at("12:00") + place * WINDOW
        put(signs, start)
        judge(start + timedelta(minutes=6))
    identities = told(rows)
    assert identities[4:6] == [OPENED, CLOSED]
    assert sorted(identities[6:]) == [f"series-{n}/20260304T1205Z/closed/1" for n in range(4)]


@pytest.mark.parametrize("windows_per_step", [3, 7, 20_000])
def test_a_backlog_is_told_as_one_however_it_is_cut_into_steps(
    windows_per_step: int, put: Story, judge: Judge, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_WINDOWS_PER_STEP", windows_per_step)
    put(MASS)
    judge()
    assert sorted(told(rows)) == [CLOSED, OPENED]
    assert rows("SELECT COUNT(*), SUM(alerted) FROM incidents WHERE series <> 'group'") == [(5, 0)]
    assert judge().alerts == 0


def test_two_judges_at_once_tell_a_mass_outage_once(put: Story, judge: Judge, rows: Rows) -> None:
    put(MASS)
    both_asked = threading.Barrier(2, timeout=20)

    def run() -> None:
        judge(predictor=Expecting(20, before_answer=both_asked.wait))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told(rows)) == [CLOSED, OPENED]


def test_a_series_that_joins_is_not_told_and_one_that_stays_broken_is_told_after_the_end(
    live: Callable[[Sequence[str]], None], rows: Rows
) -> None:
    live([".0...", ".0...", ".0...", ".0...", ".0...", "..hhh"])
    # Five of six are fewer than nine tenths: the outage goes on.
    assert told(rows) == [OPENED]


def test_after_the_end_what_is_still_anomalous_is_told_by_itself(
    live: Callable[[Sequence[str]], None], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vigil.detection.incidents.mass._CALM_SHARE", 0.8)
    live([".0..", ".0..", ".0..", ".0..", ".0..", ".hhh"])
    assert told(rows) == [OPENED, CLOSED, "series-5/20260304T1205Z/opened/1"]
    ((title,),) = rows("SELECT title FROM alerts WHERE subject = 'series-5'")
    assert title == "series-5 is high since 12:05: 90 events, expected 20 (minor)"


def test_too_few_series_or_too_small_a_share_are_told_singly(
    put: Story, judge: Judge, rows: Rows, counted: Callable[..., None]
) -> None:
    put([".0", ".0", ".0", ".0", "..", ".."])
    judge()
    assert len(told(rows)) == 4
    for number in range(10):
        counted(f"calm-{number}", [20, 20, 20], first=at("12:00"), live_from=at("12:00"))
    counted("series-6", [20, 20, 90], first=at("12:00"), live_from=at("12:00"))
    judge()
    assert told(rows)[4:] == ["series-6/20260304T1210Z/opened/1"]


def test_series_in_maintenance_or_snoozed_make_no_mass_outage(
    put: Story, judge: Judge, rows: Rows, database: Database
) -> None:
    form = {"series": "series-[0-2]", "hours": 4, "reason": "moving"}
    snooze(database, form, "snooze_alerts/1", at("12:00"))
    put([".0", ".0", ".0", ".0", ".0", ".."])
    judge(at("12:20"))
    assert told(rows) == [f"series-{n}/20260304T1205Z/opened/1" for n in (3, 4)]


def test_a_backlog_in_which_an_outage_ends_makes_no_second_one_of_what_was_told_before(
    judge: Judge, put: Story, rows: Rows, database: Database, settings: Settings, aws: Aws
) -> None:
    topic = aws.client("sns").create_topic(Name="mass")["TopicArn"]
    put(["0"] * 8 + ["."] * 3, at("12:05"))
    judge(at("12:11"))
    relay(database, aws.client("sns"), topic, at("12:11"))
    assert len(told(rows)) == 8
    # The ninth is one too many; when they are calm, the tenth breaks.
    put(["..."] * 8 + ["0..", ".0.", "..."], at("12:10"))
    judge(at("12:26"))
    alone = [f"series-{n}/20260304T1205Z/closed/1" for n in range(8)]
    alone += [f"series-9/20260304T1215Z/{kind}/1" for kind in ("opened", "closed")]
    assert told(rows)[8:10] == [OPENED, CLOSED]
    assert sorted(told(rows)[10:]) == sorted(alone)


def test_what_was_over_before_an_outage_and_is_told_after_it_does_not_end_it(
    judge: Judge, put: Story, rows: Rows, database: Database
) -> None:
    def live(first: str, stories: Sequence[str]) -> None:
        put(stories, at(first))
        judge(at(first) + timedelta(minutes=6))

    live("12:00", [".", ".", ".", ".", ".", "h"])
    form = {"series": "series-5", "hours": 0.3, "reason": "moving"}
    snooze(database, form, "snooze_alerts/1", at("12:07"))
    live("12:05", ["."] * 6)
    live("12:25", ["0"] * 5 + ["."])
    live("12:30", ["0"] * 5 + ["."])
    assert told(rows) == ["series-5/20260304T1200Z/opened/1", "group/20260304T1225Z/opened/1"]
    live("12:35", ["."] * 6)
    live("12:40", ["."] * 6)
    assert told(rows)[2:] == ["group/20260304T1225Z/closed/1", "series-5/20260304T1200Z/closed/1"]


def test_an_outage_that_a_recount_clears_is_taken_back(put: Story, judge: Judge, rows: Rows) -> None:
    put([".0", ".0", ".0", ".0", ".0", ".."])
    judge()
    rows("UPDATE window_counts SET observed = 20, revision = 2 WHERE observed = 0")
    for series in SERIES[:5]:
        rows("INSERT INTO unjudged_windows VALUES (%s, %s)", series, at("12:05"))
    assert judge().alerts == 1
    assert told(rows) == [OPENED, "group/20260304T1205Z/corrected/1"]
    assert rows("SELECT COUNT(*) FROM incidents WHERE cleared_at IS NULL") == [(0,)]


def test_an_outbreak_is_many_series_and_not_many_tellings_within_a_quarter_of_an_hour() -> None:
    def windows(*places: int) -> list[tuple[datetime, str]]:
        return [(at("12:00") + place * WINDOW, f"s{n}") for n, place in enumerate(places)]

    assert outbreak(windows(0, 1, 2), 3) == (at("12:00"), at("12:10"))
    assert outbreak(windows(0, 1, 3), 3) is None
    assert outbreak(windows(0, 1, 3, 3), 3) == (at("12:05"), at("12:15"))
    assert outbreak([(at("12:00"), "s0"), (at("12:05"), "s0"), (at("12:05"), "s1")], 3) is None


def test_series_whose_windows_became_unknown_do_not_keep_an_outage_going() -> None:
    members: list[Incident] = [
        incident
        for number in range(10)
        for incident in go_on(None, story("h" if number else "h" * 3), RULES).incidents
    ]
    hour = timedelta(hours=1)
    assert calm_of(members, hour, at("00:55")) is None
    assert calm_of(members, hour, at("01:00")) == (at("00:05"), at("01:00"))
    assert hour == HOUR * WINDOW

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vigil.detection.doubles import VERSION, at
from vigil.detection.alerts import Alert, closing_alert, opening_alert, silence_alert
from vigil.detection.incidents import Incident, go_on
from vigil.detection.recording import alerts_of
from vigil.detection.verdicts import Verdict
from vigil.windows import WINDOW

SCORES = {"high": 2.0, "low": -3.0, "normal": 0.5}


def verdict(place: int, what: str, score: float | None = None, series: str = "orders") -> Verdict:
    """Return a verdict on the window so many after 00:00."""
    start = at("00:00") + place * WINDOW
    return Verdict(
        series, start, 1, VERSION, 9, 5.0, 2.0, 8.0, SCORES[what] if score is None else score, False, what
    )


verdict_lists = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["normal", "normal", "high", "low"]), st.floats(1.01, 9)),
    max_size=25,
    unique_by=lambda drawn: drawn[0],
).map(
    lambda drawn: [
        verdict(place, what, {"high": score, "low": -score, "normal": 0.1}[what])
        for place, what, score in sorted(drawn)
    ]
)


def runs_of(verdicts: list[Verdict]) -> list[list[Verdict]]:
    """Return the longest runs of adjacent anomalous windows, by another way than the fold."""
    anomalous = [(round((v.window_start - at("00:00")) / WINDOW), v) for v in verdicts if v.is_anomalous]
    groups = groupby(enumerate(anomalous), key=lambda item: item[1][0] - item[0])
    return [[found for _, (_, found) in group] for _, group in groups]


@given(verdict_lists)
def test_incidents_are_the_longest_runs_of_adjacent_anomalous_windows(verdicts: list[Verdict]) -> None:
    incidents = go_on(None, verdicts, alerted=True)
    runs = runs_of(verdicts)
    assert [(i.opened_at, i.last_anomalous, i.windows) for i in incidents] == [
        (run[0].window_start, run[-1].window_start, len(run)) for run in runs
    ]
    for incident, run in zip(incidents, runs, strict=True):
        assert abs(incident.peak_score) == max(abs(v.score) for v in run)
        assert incident.kind == run[0].verdict


@given(verdict_lists)
def test_all_but_the_last_incident_are_closed_by_the_first_window_after_them(verdicts: list[Verdict]) -> None:
    incidents = go_on(None, verdicts, alerted=True)
    for incident in incidents[:-1]:
        assert incident.closed_at == incident.last_anomalous + WINDOW
    for earlier, later in pairwise(incidents):
        assert earlier.closed_at is not None
        assert earlier.closed_at <= later.opened_at
    if incidents and incidents[-1].closed_at is None:
        assert verdicts[-1].is_anomalous


@given(verdict_lists, st.data())
def test_a_fold_in_two_halves_tells_the_same_as_one(verdicts: list[Verdict], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(verdicts)))
    first = go_on(None, verdicts[:cut], alerted=True)
    still_open = first[-1] if first and first[-1].closed_at is None else None
    second = go_on(still_open, verdicts[cut:], alerted=True)
    done = first[:-1] if still_open else first
    assert done + second == go_on(None, verdicts, alerted=True)


@given(verdict_lists, st.data())
def test_every_incident_opens_once_and_closes_at_most_once(
    verdicts: list[Verdict], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(verdicts)))
    first = go_on(None, verdicts[:cut], alerted=True)
    still_open = first[-1] if first and first[-1].closed_at is None else None
    second = go_on(still_open, verdicts[cut:], alerted=True)
    told = alerts_of(first, verdicts[:cut]) + alerts_of(second, verdicts[cut:], known=still_open)
    identities = [alert.identity for alert in told]
    assert len(set(identities)) == len(identities)
    incidents = go_on(None, verdicts, alerted=True)
    assert sum("/opened/" in identity for identity in identities) == len(incidents)
    closed = [incident for incident in incidents if incident.closed_at]
    assert sum("/closed/" in identity for identity in identities) == len(closed)


def test_an_incident_goes_on_whichever_side_it_turns_to() -> None:
    (incident,) = go_on(None, [verdict(0, "high"), verdict(1, "low"), verdict(2, "normal")], alerted=True)
    assert (incident.kind, incident.windows, incident.peak_score) == ("high", 2, -3.0)
    assert incident.peak_window == at("00:05")
    assert incident.closed_at == at("00:10")


@pytest.fixture
def incident() -> Incident:
    (found,) = go_on(None, [verdict(37, "high", 5.25), verdict(38, "normal")], alerted=True)
    return found


def test_an_identity_is_subject_incident_kind_and_number(incident: Incident) -> None:
    assert opening_alert(incident, verdict(37, "high")).identity == "orders/20260304T0305Z/opened/1"
    assert closing_alert(incident).identity == "orders/20260304T0305Z/closed/1"


def test_a_message_says_what_was_counted_what_was_expected_and_since_when(incident: Incident) -> None:
    alert = opening_alert(incident, verdict(37, "high", 5.25))
    assert alert.title == "orders is high: 9 events, expected 5"
    assert "from 2026-03-04 03:05 to 03:10 UTC" in alert.body
    assert "2.0 to 8.0 would be normal" in alert.body
    assert "5.2 times as far off as the band allows" in alert.body
    assert alert.attributes["incident_kind"] == "high"
    assert "for 5 min" in closing_alert(incident).body


@pytest.mark.parametrize("tell", [closing_alert, silence_alert])
def test_a_title_is_short_plain_ascii_whatever_the_series_is_called(
    tell: Callable[[Incident], Alert], incident: Incident
) -> None:
    long = replace(incident, series="x" * 64, closed_at=incident.opened_at + timedelta(days=900))
    alert = tell(long)
    assert len(alert.title) <= 100
    assert alert.title.isascii()
    assert "\n" not in alert.title
    assert len(alert.identity) <= 191

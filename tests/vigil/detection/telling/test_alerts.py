from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.vigil.detection.doubles import at
from tests.vigil.detection.incidents.test_incident import HOUR, RULES, mute, story, verdict
from vigil.detection.incidents.incident import SILENT_SOURCE, Incident, Peak, go_on, tell_of
from vigil.detection.telling.alerts import Alert, alert_of, alerts_of
from vigil.detection.telling.wording import rarity_in_words
from vigil.detection.verdicts import Verdict

LINK = "https://graphs.example/d/1?series={series}&from={from}&to={to}"


def only(verdicts: list[Verdict]) -> Alert:
    (alert,) = alerts_of(go_on(None, verdicts, RULES).tellings)
    return alert


def test_an_opening_is_readable_at_a_glance() -> None:
    low = replace(verdict(37, "low", -48_211.0, observed=3), extrapolated=True)
    alert = only([low])
    assert alert.title == "orders is low: 3 events, expected 57 (minor)"
    assert alert.body.splitlines() == [
        "orders, 2026-03-04 03:05 to 03:10 UTC: 3 events, expected 57.",
        "The band is 40 to 75.",
        "As rare as one window in 48 000, about one in 5 months; rarer than the data can show, extrapolated.",
        "Judged by event-counts/1.",
    ]
    assert alert.identity == "orders/20260304T0305Z/opened/1"
    assert alert.subject == "orders"


def test_a_drop_to_zero_is_told_apart_from_a_silent_source() -> None:
    alert = only([verdict(0, "low", observed=0)])
    assert alert.title == "orders is low: 0 events, expected 57 (major)"
    assert "drop to zero, not a silent source" in alert.body
    assert alert.attributes["drop_to_zero"] == "true"
    assert "drop to zero" not in only([verdict(0, "low", observed=1)]).body


def test_a_window_within_the_band_is_explained() -> None:
    assert "rare together with those before it" in only([verdict(0, "high", observed=60)]).body


def test_a_closing_says_how_long_it_was_how_bad_and_how_often_it_came_back() -> None:
    calm = "." * HOUR
    closing = alerts_of(go_on(None, story(f"hh{calm}hH{calm}"), RULES).tellings)[-1]
    assert closing.identity == "orders/20260304T0000Z/closed/2"
    assert closing.title == "orders is back to normal after 1 h 20 min (major)"
    assert "It was high from 2026-03-04 00:00 UTC on, for 1 h 20 min, and came back once." in closing.body
    assert "Farthest out was the window of 2026-03-04 01:15 UTC: 9 events, expected 57" in closing.body


def test_every_kind_has_a_message_and_an_identity_of_its_own() -> None:
    rules = replace(RULES, remind_every=timedelta(minutes=10))
    alerts = alerts_of(go_on(None, story("hhhH" + "." * HOUR), rules).tellings)
    assert [alert.title for alert in alerts] == [
        "orders is high: 9 events, expected 57 (minor)",
        "orders is still high after 15 min: 9 events, expected 57 (minor)",
        "orders got worse: 9 events, expected 57 (major)",
        "orders is back to normal after 20 min (major)",
    ]
    assert len({alert.identity for alert in alerts}) == 4


def test_an_opening_after_a_mute_says_since_when() -> None:
    (alert,) = alerts_of(go_on(None, story("hhhh"), RULES, [mute(0, 3)]).tellings)
    assert alert.title == "orders is high since 00:00: 9 events, expected 57 (minor)"
    assert "It goes on since 2026-03-04 00:00 UTC, for 20 min." in alert.body


def test_a_correction_takes_the_incident_back() -> None:
    (incident,) = go_on(None, story("h"), RULES).incidents
    alert = alert_of(tell_of(incident, "corrected", incident.opened_at, None)[1])
    assert alert.identity == "orders/20260304T0000Z/corrected/1"
    assert alert.title == "Correction: orders was normal on 2026-03-04 00:00 UTC"


def test_attributes_serve_the_filters_of_subscriptions() -> None:
    assert only([verdict(0, "low", -1e300, observed=0)]).attributes == {
        "series": "orders",
        "kind": "opened",
        "incident_kind": "low",
        "severity": "critical",
        "direction": "low",
        "drop_to_zero": "true",
        # SNS compares numbers up to here.
        "rarity": 10**9,
        "model_version": "event-counts/1",
    }


@pytest.fixture
def silence() -> Incident:
    return Incident(
        "shop",
        at("11:05"),
        SILENT_SOURCE,
        at("11:20"),
        None,
        None,
        "major",
        3,
        0,
        "",
        Peak(at("11:05"), 0),
    )


def test_a_silent_source_is_told_for_the_whole_group(silence: Incident) -> None:
    told, telling = tell_of(silence, "opened", at("11:20"), None)
    alert = alert_of(telling)
    assert (alert.identity, alert.subject) == ("group/shop-20260304T1105Z/opened/1", "group")
    assert "neither counted as 0 nor judged" in alert.body
    assert alert.attributes["source"] == "shop"
    over = replace(told, closed_at=at("12:05"))
    end = alert_of(tell_of(over, "closed", at("12:05"), None)[1])
    assert "after 1 h 0 min of silence" in end.body


def test_a_link_leads_to_the_series_and_the_time_around_the_incident() -> None:
    (telling,) = go_on(None, story("h", first=24), RULES).tellings
    link = alert_of(telling, LINK).body.splitlines()[-1]
    assert link == (
        "https://graphs.example/d/1?series=orders&from=2026-03-04T01:00:00Z&to=2026-03-04T03:05:00Z"
    )
    assert "http" not in alert_of(telling).body


@pytest.mark.parametrize("kind", ["opened", "worse", "reminder", "closed", "corrected"])
def test_a_title_is_short_plain_ascii_whatever_the_series_is_called(kind: str) -> None:
    low = verdict(0, "low", series="x" * 64)
    (incident,) = go_on(None, [low], RULES).incidents
    over = replace(incident, closed_at=incident.opened_at + timedelta(days=900))
    alert = alert_of(tell_of(over, kind, low.window_start, low)[1])  # type: ignore[arg-type]
    assert len(alert.title) <= 100
    assert alert.title.isascii()
    assert "\n" not in alert.title
    assert len(alert.identity) <= 191
    assert len(alert.attributes) <= 9


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (1.0, "as rare as one window in 1, about one in 5 minutes"),
        (-123.0, "as rare as one window in 120, about one in 10 hours"),
        (2_345.0, "as rare as one window in 2 300, about one in 8 days"),
        (3.4e6, "as rare as one window in 3 400 000, about one in 32 years"),
        (1e9, "as rare as one window in 1 000 000 000, about one in more than a century"),
        (-1e300, "rarer than one window in a billion"),
    ],
)
def test_rarities_are_told_in_words(score: float, words: str) -> None:
    assert rarity_in_words(score, extrapolated=False) == words

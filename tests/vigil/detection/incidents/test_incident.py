from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vigil.detection.doubles import VERSION, at
from vigil.detection.incidents.incident import Folded, Incident, IncidentRules, Telling, go_on
from vigil.detection.incidents.mutes import Mute
from vigil.detection.verdicts import Verdict
from vigil.windows import WINDOW

RULES = IncidentRules(threshold=1000)
SCORES = {"high": 2000.0, "low": -2000.0, "normal": 3.0}
HOUR = 12
"""Windows in an hour: so long a calm closes an incident."""


def verdict(
    place: int, what: str, score: float | None = None, series: str = "orders", observed: int = 9
) -> Verdict:
    """Return a verdict on the window so many after 00:00."""
    start = at("00:00") + place * WINDOW
    return Verdict(
        series,
        start,
        1,
        VERSION,
        observed,
        57.0,
        40.0,
        75.0,
        SCORES[what] if score is None else score,
        False,
        what,
    )


def story(text: str, first: int = 0) -> list[Verdict]:
    """Return verdicts by signs: `.` normal, `h` high, `l` low, `H` high and much rarer, a blank unknown."""
    rare = SCORES["high"] ** 2.5
    signs = {
        ".": ("normal", None),
        "h": ("high", None),
        "l": ("low", None),
        "H": ("high", rare),
        "X": ("high", rare**2.5),
    }
    return [verdict(first + place, *signs[sign]) for place, sign in enumerate(text) if sign != " "]


def mute(first: int, end: int, reason: str = "works") -> Mute:
    return Mute("*", at("00:00") + first * WINDOW, at("00:00") + end * WINDOW, reason)


def told(folded: Folded) -> list[tuple[str, int, int]]:
    """Return kind, n and place of each telling."""
    return [(t.kind, t.n, place_of(t)) for t in folded.tellings]


def place_of(telling: Telling) -> int:
    assert telling.verdict is not None
    return (telling.verdict.window_start - at("00:00")) // WINDOW


drawn_windows = st.tuples(
    # Gaps between windows, the long ones unknown: calm, flapping, and what is long past all occur.
    st.sampled_from([1, 1, 1, 1, 2, 9, 14, 100, 150]),
    st.sampled_from(["normal", "normal", "normal", "high", "low"]),
    st.floats(3.0, 60.0),
)


@st.composite
def verdict_lists(draw: st.DrawFn) -> list[Verdict]:
    place, drawn = 0, []
    for gap, what, rarity in draw(st.lists(drawn_windows, min_size=5, max_size=60)):
        place += gap
        sign = -1 if what == "low" else 1
        drawn.append(verdict(place, what, sign * 2.0**rarity))
    return drawn


rules_drawn = st.builds(
    IncidentRules,
    threshold=st.just(8.0),
    closes_after=st.sampled_from([timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1)]),
    reopens_within=st.sampled_from([timedelta(0), timedelta(hours=2), timedelta(hours=12)]),
    tell_worse=st.booleans(),
    remind_every=st.sampled_from([None, timedelta(minutes=10), timedelta(hours=6)]),
)
mutes_drawn = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 80)).map(lambda drawn: mute(drawn[0], sum(drawn))),
    max_size=3,
)


@settings(max_examples=250, deadline=None)
@given(verdict_lists(), rules_drawn, mutes_drawn, st.data())
def test_any_partition_into_batches_finds_and_tells_the_same(
    verdicts: list[Verdict], rules: IncidentRules, mutes: list[Mute], data: st.DataObject
) -> None:
    at_once = go_on(None, verdicts, rules, mutes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(verdicts)), max_size=6)))
    newest: Incident | None = None
    kept: dict[object, Incident] = {}
    tellings: list[Telling] = []
    for start, end in pairwise([0, *cuts, len(verdicts)]):
        folded = go_on(newest, verdicts[start:end], rules, mutes)
        kept |= {incident.opened_at: incident for incident in folded.incidents}
        tellings += folded.tellings
        newest = list(kept.values())[-1] if kept else None
    assert list(kept.values()) == at_once.incidents
    assert tellings == at_once.tellings


@settings(deadline=None)
@given(verdict_lists(), rules_drawn, mutes_drawn)
def test_every_anomalous_window_lies_in_one_incident(
    verdicts: list[Verdict], rules: IncidentRules, mutes: list[Mute]
) -> None:
    incidents = go_on(None, verdicts, rules, mutes).incidents
    for earlier, later in pairwise(incidents):
        assert earlier.closed_at is not None
        assert earlier.last_anomalous + rules.reopens_within < later.opened_at
    for incident in incidents:
        own = [
            v
            for v in verdicts
            if v.is_anomalous and incident.opened_at <= v.window_start <= incident.last_anomalous
        ]
        assert incident.windows == len(own)
        assert (own[0].window_start, own[-1].window_start) == (incident.opened_at, incident.last_anomalous)
        assert abs(incident.peak.score) == max(abs(v.score) for v in own)
        assert incident.kind == own[0].verdict
        calm = [v for v in verdicts if v.window_start > incident.last_anomalous and not v.is_anomalous]
        assert incident.calm_since == (calm[0].window_start if calm else None)
        assert incident.closed_at in (None, incident.calm_since)
    assert sum(i.windows for i in incidents) == sum(v.is_anomalous for v in verdicts)


@settings(deadline=None)
@given(verdict_lists(), rules_drawn, mutes_drawn)
def test_what_is_told_of_an_incident_begins_with_its_opening_and_ends_with_its_closing(
    verdicts: list[Verdict], rules: IncidentRules, mutes: list[Mute]
) -> None:
    folded = go_on(None, verdicts, rules, mutes)
    for incident in folded.incidents:
        own = [t for t in folded.tellings if t.incident.opened_at == incident.opened_at]
        kinds = [t.kind for t in own]
        assert kinds[:1] in ([], ["opened"])
        assert kinds.count("opened") <= 1
        for kind, following in pairwise(kinds):
            # After an end only what is worse is told; an end is told of what people believe to go on.
            assert (kind, following) not in {("closed", "closed"), ("closed", "reminder")}
        assert incident.told.goes_on == (kinds[-1:] not in ([], ["closed"]))
        assert [t.n for t in own if t.kind == "worse"] == list(range(1, incident.told.worse + 1))
    identities = [(t.incident.opened_at, t.kind, t.n) for t in folded.tellings]
    assert len(set(identities)) == len(identities)


@settings(deadline=None)
@given(verdict_lists(), rules_drawn, mutes_drawn)
def test_a_mute_changes_what_is_told_and_nothing_that_is_found(
    verdicts: list[Verdict], rules: IncidentRules, mutes: list[Mute]
) -> None:
    # The one exception: what people were never told the end of goes on, so nothing may be left open there.
    found = go_on(None, verdicts, rules, tell=False).incidents
    folded = go_on(None, verdicts, rules, mutes)
    assert all(not any(m.touches(v.window_start) for m in mutes) for v in map(verdict_of, folded.tellings))
    if len(found) == len(folded.incidents):
        unknown = [replace(i, told=found[0].told, muted_by=None) for i in folded.incidents]
        assert unknown == found


def verdict_of(telling: Telling) -> Verdict:
    assert telling.verdict is not None
    return telling.verdict


def test_an_incident_opens_goes_on_through_a_short_calm_and_closes_after_a_long_one() -> None:
    folded = go_on(None, story("..hh..h" + "." * HOUR), RULES)
    assert told(folded) == [("opened", 1, 2), ("closed", 1, 6 + HOUR)]
    (incident,) = folded.incidents
    assert (incident.opened_at, incident.closed_at) == (at("00:10"), at("00:35"))
    assert (incident.windows, incident.flares) == (3, 0)


def test_it_is_open_until_the_calm_has_lasted() -> None:
    folded = go_on(None, story("h" + "." * (HOUR - 1)), RULES)
    assert told(folded) == [("opened", 1, 0)]
    assert (folded.incidents[0].closed_at, folded.incidents[0].calm_since) == (None, at("00:05"))


def test_flapping_is_one_incident_told_once() -> None:
    calm = "." * (2 * HOUR)
    folded = go_on(None, story(f"h{calm}h{calm}hh{calm}"), RULES)
    assert told(folded) == [("opened", 1, 0), ("closed", 1, HOUR)]
    (incident,) = folded.incidents
    assert (incident.flares, incident.windows) == (2, 4)
    assert incident.closed_at == incident.last_anomalous + WINDOW


def test_after_a_long_time_it_is_another_incident() -> None:
    folded = go_on(None, story("h" + "." * (12 * HOUR) + "h"), RULES)
    assert [kind for kind, _, _ in told(folded)] == ["opened", "closed", "opened"]
    assert len(folded.incidents) == 2
    within = go_on(None, story("h" + "." * (12 * HOUR - 1) + "h"), RULES)
    assert len(within.incidents) == 1


def test_what_grows_much_worse_is_told_as_such_and_its_end_again() -> None:
    calm = "." * HOUR
    folded = go_on(None, story(f"hhH{calm}h{calm}X{calm}"), RULES)
    assert told(folded) == [
        ("opened", 1, 0),
        ("worse", 1, 2),
        ("closed", 1, 2 + HOUR),
        ("worse", 2, 4 + 2 * HOUR),
        ("closed", 2, 4 + 3 * HOUR),
    ]
    quiet = go_on(None, story(f"hhH{calm}X{calm}"), replace(RULES, tell_worse=False))
    assert [kind for kind, _, _ in told(quiet)] == ["opened", "closed"]


def test_the_rarest_that_can_be_is_told_once() -> None:
    folded = go_on(None, [verdict(place, "high", 1e300) for place in range(5)], RULES)
    assert told(folded) == [("opened", 1, 0)]


def test_reminders_are_told_while_it_goes_on() -> None:
    rules = replace(RULES, remind_every=timedelta(minutes=15))
    folded = go_on(None, story("hhhhhhhh...h"), rules)
    assert told(folded) == [("opened", 1, 0), ("reminder", 1, 3), ("reminder", 2, 6), ("reminder", 3, 11)]


def test_unknown_windows_neither_close_nor_prolong() -> None:
    gap = " " * (30 * HOUR)
    folded = go_on(None, story(f"h{gap}h{gap}."), RULES)
    assert told(folded) == [("opened", 1, 0)]
    (incident,) = folded.incidents
    assert (incident.windows, incident.flares, incident.closed_at) == (2, 0, None)
    assert incident.calm_since == at("00:00") + (2 + 60 * HOUR) * WINDOW


def test_an_incident_stays_one_whichever_side_it_turns_to() -> None:
    verdicts = [verdict(0, "high"), verdict(1, "low", -3000.0), verdict(2, "normal")]
    (incident,) = go_on(None, verdicts, RULES).incidents
    assert (incident.kind, incident.windows, incident.peak.score) == ("high", 2, -3000.0)
    assert incident.peak.window == at("00:05")


def test_an_opening_that_fell_into_a_mute_is_told_after_it_if_the_incident_goes_on() -> None:
    folded = go_on(None, story("hhhhh"), RULES, [mute(0, 3)])
    assert told(folded) == [("opened", 1, 3)]
    assert folded.tellings[0].incident.opened_at == at("00:00")
    assert folded.incidents[0].muted_by == "works"


def test_an_incident_that_ended_within_a_mute_is_recorded_and_never_told() -> None:
    folded = go_on(None, story("hh" + "." * (2 * HOUR)), RULES, [mute(0, 3)])
    assert folded.tellings == []
    assert folded.incidents[0].closed_at == at("00:10")
    assert not folded.incidents[0].told.opening_stands


def test_an_end_that_fell_into_a_mute_is_told_after_it() -> None:
    folded = go_on(None, story("h" + "." * (2 * HOUR)), RULES, [mute(5, 20)])
    assert told(folded) == [("opened", 1, 0), ("closed", 1, 20)]


def test_what_grew_worse_within_a_mute_is_told_after_it() -> None:
    folded = go_on(None, story("hHhh"), RULES, [mute(1, 3)])
    assert told(folded) == [("opened", 1, 0), ("worse", 1, 3)]


def test_history_is_found_and_not_told() -> None:
    folded = go_on(None, story("hH..h" + "." * HOUR), RULES, tell=False)
    assert folded.tellings == []
    assert not folded.incidents[0].told.opening_stands


def test_an_incident_that_nothing_changes_is_not_given_back() -> None:
    (settled,) = go_on(None, story("h" + "." * HOUR), RULES).incidents
    assert go_on(settled, story("." * HOUR, first=2 * HOUR), RULES) == Folded([], [])


def test_a_year_of_windows_costs_next_to_nothing() -> None:
    one = verdict(0, "normal")
    verdicts = [one] * 100_000
    for place in range(0, 100_000, 5_000):
        verdicts[place] = verdict(place, "high")
    started = time.process_time()
    go_on(None, verdicts, RULES)
    assert time.process_time() - started < 0.3


def test_a_threshold_that_makes_every_window_rare_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1"):
        IncidentRules(threshold=1.0)

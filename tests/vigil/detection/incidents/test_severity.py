from __future__ import annotations

from dataclasses import replace

import pytest

from tests.vigil.detection.incidents.test_incident import story, verdict
from vigil.detection.incidents.incident import IncidentRules, go_on
from vigil.detection.incidents.severity import severity_of


@pytest.mark.parametrize(
    ("score", "severity"),
    [
        (1_000.0, "minor"),
        (-999_000.0, "minor"),
        (1_000_001.0, "major"),
        (-1e11, "major"),
        (1e13, "critical"),
        (-1e300, "critical"),
        (float("inf"), "critical"),
        (0.0, "minor"),
    ],
)
def test_severity_grows_with_the_logarithm_of_the_rarity(score: float, severity: str) -> None:
    assert severity_of(verdict(0, "high", score), threshold=1_000) == severity


def test_no_event_at_all_is_major_at_least_where_some_were_expected() -> None:
    none = verdict(0, "low", -2_000.0, observed=0)
    assert severity_of(none, 1_000) == "major"
    assert severity_of(replace(none, expected=4.9), 1_000) == "minor"
    assert severity_of(replace(none, score=-1e15), 1_000) == "critical"


def test_an_incident_is_as_grave_as_its_gravest_window() -> None:
    grave = replace(story("H", first=1)[0], observed=3)
    rules = IncidentRules(threshold=1_000)
    (incident,) = go_on(None, [*story("h"), grave, *story("h", first=2)], rules).incidents
    assert incident.severity == "major"

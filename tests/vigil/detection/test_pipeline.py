from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from vigil.detection.incidents.incident import IncidentRules
from vigil.detection.incidents.mutes import Mute
from vigil.detection.pipeline import Pipeline, SimulatorOptions, load_pipeline
from vigil.errors import SettingsError

SIMULATOR = "kind: simulator, name: s, series: [{name: orders, base_rate: 4}]"
HOUR = "from: 2026-01-01T00:00:00Z, to: 2026-01-01T01:00:00Z"
TABLE = "kind: table, name: t, connection: c, time_column: at, id_column: id"


def pipeline_of(tmp_path: Path, text: str) -> Pipeline:
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    return load_pipeline(file)


def sources(*lines: str) -> str:
    return "sources:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


def test_the_pipeline_that_ships_is_valid() -> None:
    assert load_pipeline("pipeline.yaml").model == "event-counts"


def test_times_with_a_zone_become_utc(tmp_path: Path) -> None:
    times = "from: 2026-01-01T02:00:00+02:00, to: 2026-01-01T01:00:00Z"
    loaded = pipeline_of(
        tmp_path, sources(f"{SIMULATOR}, anomalies: [{{series: orders, kind: outage, {times}}}]")
    )
    (simulator,) = loaded.sources
    assert isinstance(simulator, SimulatorOptions)
    assert (simulator.anomalies[0].starts, simulator.anomalies[0].ends) == (
        datetime(2026, 1, 1, 0),
        datetime(2026, 1, 1, 1),
    )


def test_what_an_incident_is_and_when_nobody_is_told_is_said_there(tmp_path: Path) -> None:
    loaded = pipeline_of(
        tmp_path,
        sources(SIMULATOR)
        + "incidents: {closes_after_min: 30, remind_every_h: 6}\n"
        + f"maintenance: [{{series: 'ord*', reason: new till, {HOUR}}}]",
    )
    rules = loaded.incidents.rules(50.0)
    assert rules == IncidentRules(50.0, closes_after=timedelta(minutes=30), remind_every=timedelta(hours=6))
    assert loaded.maintenance[0].mute == Mute(
        "ord*", datetime(2026, 1, 1, 0), datetime(2026, 1, 1, 1), "maintenance: new till"
    )


def test_what_was_loaded_cannot_be_changed(tmp_path: Path) -> None:
    loaded = pipeline_of(tmp_path, sources(SIMULATOR))
    with pytest.raises(ValidationError, match="frozen"):
        loaded.model = "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: x\n" + sources(SIMULATOR), "modle is unknown: did you mean model?"),
        ("health: {wape_facter: 2}\n" + sources(SIMULATOR),
         "health.wape_facter is unknown: did you mean wape_factor?"),
        ("health: {least_windows: 300}\n" + sources(SIMULATOR), "more than the 288 windows of a day"),
        (sources(f"{SIMULATOR}, sedd: 3"), "did you mean seed?"),
        (sources("kind: simulator, name: s, series: [{name: o, base_rate: 1, peek_hour: 3}]"), "peak_hour"),
        (sources("kind: carrier-pigeon, name: s"), "expected tags: 'simulator', 'replay', 'table', 'sqs'"),
        (sources(f"{SIMULATOR}, history_days: 2, starts_at: 2026-01-01T00:00:00Z"),
         "starts_at and history_days contradict"),
        (sources("kind: replay, name: r, path: x, ends: last_week, shift_weeks: 3"),
         "shift_weeks and ends contradict"),
        (sources(f"{TABLE}, table: orders"), "either series, if the table holds one, or series_column"),
        (sources(f"{TABLE}, table: orders, series: o, series_column: s"), "and not both"),
        (sources(f"{TABLE}, table: orders; DROP TABLE events, series: o"), "should match pattern"),
        (sources(f"{TABLE.replace('id_column: id', 'id_column: i`d')}, table: orders, series: o"), "pattern"),
        (sources(SIMULATOR, SIMULATOR), "two of s"),
        (sources(SIMULATOR, SIMULATOR.replace("name: s,", "name: t,")), "two of orders"),
        (sources("kind: simulator, name: s, series: [{name: a/b, base_rate: 4}]"), "use letters, digits"),
        (sources("kind: simulator, name: s, series: [{name: a, base_rate: -4}]"), "greater than 0"),
        (sources("kind: sqs, name: s, queue_url: nowhere"), "queue_url"),
        (sources(SIMULATOR) + "incidents: {closes_after: 5}", "did you mean closes_after_min?"),
        (sources(SIMULATOR) + "incidents: {closes_after_min: 90, reopens_within_h: 1}",
         "raise it, or set it to 0 for never"),
        (sources(SIMULATOR) + "incidents: {mass_share: 10}", "less than or equal to 1"),
        (sources(SIMULATOR) + f"maintenance: [{{series: o, reason: r, {HOUR}, by: me}}]", "by is unknown"),
        (sources(SIMULATOR) + "maintenance: [{series: orders, reason: r, from: 2026-01-01T00:00:00Z,"
         " to: 2026-01-01T00:00:00Z}]", "'to' must be later than 'from'"),
        (sources(SIMULATOR) + "maintenance: [{series: orders, reason: r, from: 2026-01-01T00:00:00,"
         " to: 2026-01-01T01:00:00Z}]", "timezone"),
        (sources(SIMULATOR) + f"maintenance: [{{series: 'a b', reason: r, {HOUR}}}]", "should match pattern"),
        (sources(SIMULATOR) + f"maintenance: [{{series: orders, {HOUR}}}]", "reason is not set"),
        ("sources: []", "at least 1 item"),
        ("sources: [", "is no YAML"),
        ("", "as a whole"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_the_way_out(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        pipeline_of(tmp_path, text)
    assert message in str(refusal.value)
    assert "pipeline.yaml" in str(refusal.value)


@pytest.mark.parametrize(
    ("anomaly", "message"),
    [
        (f"series: other, kind: outage, {HOUR}", "not simulated"),
        (f"series: orders, kind: spike, {HOUR}", "factor above 1"),
        (f"series: orders, kind: drop, factor: 2, {HOUR}", "between 0 and 1"),
        (f"series: orders, kind: outage, factor: 2, {HOUR}", "has no factor"),
        ("series: orders, kind: outage, from: 2026-01-01T00:00:00Z, to: 2026-01-01T00:00:00Z", "later than"),
        ("series: orders, kind: outage, from: 2026-01-01T00:00:00, to: 2026-01-01T01:00:00Z", "timezone"),
    ],
)  # fmt: skip
def test_an_anomaly_that_makes_no_sense_is_refused(tmp_path: Path, anomaly: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pipeline_of(tmp_path, sources(f"{SIMULATOR}, anomalies: [{{{anomaly}}}]"))


def test_a_missing_file_is_named_with_the_setting_that_chose_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml does not exist: .*pipeline_file"):
        load_pipeline(tmp_path / "nowhere.yaml")

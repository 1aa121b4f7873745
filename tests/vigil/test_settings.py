from __future__ import annotations

import json
import traceback

import pytest

from vigil.errors import SettingsError
from vigil.paths import include_dir
from vigil.settings import (
    database_from_environment,
    parse_connection,
    parse_settings,
    settings_from_environment,
)

NEEDED = {
    "bucket": "vigil-bucket",
    "alert_topic_arn": "arn:aws:sns:eu-west-1:123456789012:alerts",
    "sagemaker_role_arn": "arn:aws:iam::123456789012:role/sagemaker",
}


def test_defaults_are_usable() -> None:
    settings = parse_settings(NEEDED)
    assert settings.allowed_lateness < settings.too_late_after < settings.event_retention


def test_every_missing_option_is_named_as_its_variable() -> None:
    with pytest.raises(SettingsError) as error:
        parse_settings({})
    for name in NEEDED:
        assert f"AIRFLOW__VIGIL__{name.upper()} is not set" in str(error.value)


def test_an_unknown_option_is_told_with_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError, match="BUKET is unknown: did you mean bucket"):
        parse_settings({**NEEDED, "buket": "b"})


def test_retention_shorter_than_lateness_is_refused_with_the_way_out() -> None:
    with pytest.raises(SettingsError, match="lower the one or raise the other"):
        parse_settings({**NEEDED, "event_retention_days": 2, "too_late_after_h": 72})


def test_a_window_that_waits_longer_than_events_may_come_is_refused() -> None:
    with pytest.raises(SettingsError, match="allowed_lateness_s must be shorter"):
        parse_settings({**NEEDED, "allowed_lateness_s": 7200, "too_late_after_h": 1})


def test_a_link_of_alerts_may_name_series_and_time_and_nothing_else() -> None:
    link = "https://graphs.example/?s={series}&from={from}&to={to}"
    assert parse_settings({**NEEDED, "alert_link": link}).alert_link == link
    wrong_ones = ["{serie}", "{", "{0}", "{series.__class__}", "{series!r}", "{from:>1000000}"]
    for wrong in (f"https://graphs.example/{part}" for part in wrong_ones):
        with pytest.raises(SettingsError, match=r"ALERT_LINK: only \{series\}, \{from\} and \{to\}"):
            parse_settings({**NEEDED, "alert_link": wrong})
    with pytest.raises(SettingsError, match="ALERT_LINK"):
        parse_settings({**NEEDED, "alert_link": "graphs.example"})


@pytest.mark.parametrize("name", ["alert_topic_arn", "sagemaker_role_arn"])
def test_what_is_no_arn_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        parse_settings({**NEEDED, name: "alerts"})


def test_the_environment_is_read_as_airflow_reads_it() -> None:
    environment = {f"AIRFLOW__VIGIL__{name.upper()}": value for name, value in NEEDED.items()}
    settings = settings_from_environment({**environment, "AIRFLOW__VIGIL__ALLOWED_LATENESS_S": "10"})
    assert settings.allowed_lateness.total_seconds() == 10


def test_a_connection_reads_the_same_as_uri_and_as_json() -> None:
    uri = "mysql://vi%40gil:p%2Fw@db.example:3307/events?ssl_ca=%2Fetc%2Fca.pem"
    as_json = json.dumps(
        {
            "conn_type": "mysql",
            "host": "db.example",
            "port": 3307,
            "login": "vi@gil",
            "password": "p/w",
            "schema": "events",
            "extra": json.dumps({"ssl_ca": "/etc/ca.pem"}),
        }
    )
    database = parse_connection(uri, "test")
    assert database == parse_connection(as_json, "test")
    assert (database.user, database.password, database.port) == ("vi@gil", "p/w", 3307)
    assert database.ca_file == "/etc/ca.pem"


def test_the_settings_certificates_hold_for_connections_that_name_none() -> None:
    uri, file = "mysql://vigil:secret@db/events", "certificates/rds.pem"
    variables = {"AIRFLOW_CONN_VIGIL_DATABASE": uri, "AIRFLOW__VIGIL__DATABASE_CA_FILE": file}
    assert database_from_environment(environment=variables).ca_file == str(include_dir() / file)
    assert parse_connection(f"{uri}?ssl_ca=own.pem", "test", file).ca_file == str(include_dir() / "own.pem")
    assert parse_connection(f"{uri}?ssl_ca=/etc/ca.pem", "test", file).ca_file == "/etc/ca.pem"
    assert parse_connection(uri, "test").ca_file is None
    assert parse_connection(uri, "test", "none").ca_file is None


def test_a_password_is_never_shown() -> None:
    database = parse_connection("mysql://vigil:very-secret@db/events", "test")
    assert "very-secret" not in repr(database)


@pytest.mark.parametrize(
    "text",
    [
        "mysql://vigil:very-secret/1@db/events",
        "mysql://vigil:very-secret#1@db/events",
        "mysql://vigil:very-secret[1@db/events",
        "mysql://vigil:very-secret\u2100@db/events",
        '{"password": "very-secret"',
        '{"host": "db", "extra": "very-secret"}',
    ],
)
def test_a_connection_that_cannot_be_read_shows_nothing_of_itself(text: str) -> None:
    with pytest.raises(SettingsError, match=r"vigil_database cannot be read: .*%2F") as error:
        parse_connection(text, "vigil_database")
    told = "".join(traceback.format_exception(error.value))
    assert "very-secret" not in told.replace(text, "")
    assert error.value.__context__ is None


def test_a_missing_connection_names_its_variable() -> None:
    with pytest.raises(SettingsError, match="AIRFLOW_CONN_VIGIL_DATABASE is not set"):
        database_from_environment(environment={})


def test_a_connection_without_a_schema_says_so() -> None:
    with pytest.raises(SettingsError, match="no schema"):
        parse_connection("mysql://vigil:secret@db", "vigil_database")

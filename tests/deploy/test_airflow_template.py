from __future__ import annotations

import json
import re

import pytest

from deploy.templates import airflow_options, read_template, vigil_settings
from tests.deploy.policies import SOME_PARAMETERS
from vigil.settings import Settings, parse_settings

KNOWN = {**SOME_PARAMETERS, "BucketName": "the-bucket", "Environment": "prod"}
# Settings that are the same everywhere, or are found out.
NOT_SET = {"aws_conn_id", "database_conn_id", "poll_interval_s"}


def test_it_sets_every_setting_that_differs_by_environment():
    settings = vigil_settings({**KNOWN, "AlertLink": "https://graphs.example/{series}"})
    assert settings.keys() == Settings.model_fields.keys() - NOT_SET
    parsed = parse_settings(settings)
    assert parsed.bucket == "the-bucket"
    assert parsed.environment == "prod"


def test_its_defaults_are_those_of_the_settings():
    parsed = parse_settings(vigil_settings(KNOWN))
    on_purpose = {"database_ca_file", "environment"}
    defaults = {
        name: field.default
        for name, field in Settings.model_fields.items()
        if not field.is_required() and field.default is not None and name not in NOT_SET | on_purpose
    }
    assert {name: getattr(parsed, name) for name in defaults} == defaults


def test_its_logs_are_encrypted_and_end_though_amazon_mwaa_would_keep_them_for_ever():
    declared = read_template("airflow").content["Resources"]
    groups = {name: one for name, one in declared.items() if one["Type"] == "AWS::Logs::LogGroup"}
    parts = {one["Properties"]["LogGroupName"]["Fn::Sub"] for one in groups.values()}
    written = ("DAGProcessing", "Scheduler", "Task", "WebServer", "Worker")
    assert parts == {f"airflow-vigil-${{Environment}}-{part}" for part in written}
    for one in groups.values():
        assert one["Properties"]["KmsKeyId"] == {"Ref": "KeyArn"}
        assert one["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert set(declared["Airflow"]["DependsOn"]) == groups.keys()


def test_an_empty_parameter_leaves_its_option_out():
    assert "alert_link" not in vigil_settings(KNOWN)
    assert "database_ca_file" in vigil_settings(KNOWN)
    assert "database_ca_file" not in vigil_settings({**KNOWN, "DatabaseCaFile": ""})


def test_its_options_are_such_as_amazon_mwaa_takes():
    options = airflow_options(KNOWN)
    for name, value in options.items():
        assert re.fullmatch(r"[a-z]+([a-z0-9._]*[a-z0-9_]+)?", name)
        assert len(name) <= 64
        assert re.fullmatch(r"[ -~]+", value), name
    backend = json.loads(options["secrets.backend_kwargs"])
    assert backend["connections_prefix"] == "vigil/prod/connections"
    assert options["celery.worker_autoscale"] == "3,3"


@pytest.mark.parametrize(("conn_id", "is_looked_up"), [("vigil_database", True), ("aws_default", False)])
def test_only_connections_of_vigil_are_looked_up(conn_id, is_looked_up):
    pattern = json.loads(airflow_options(KNOWN)["secrets.backend_kwargs"])["connections_lookup_pattern"]
    assert bool(re.match(pattern, conn_id)) == is_looked_up


def test_the_role_may_read_the_connections_and_only_those():
    options = json.loads(airflow_options(KNOWN)["secrets.backend_kwargs"])
    text = read_template("roles").body
    assert f":secret:{options['connections_prefix'].replace('prod', '${Environment}')}/*" in text

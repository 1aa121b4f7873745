"""No secret leaves a task: not by a log, an XCom, Airflow's own database, or the text of an error."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import requests
from pymysql.connections import Connection

from local_stack.ports import free_port
from tests.conftest import AIRFLOW_HOME
from tests.dags.runs import run_dag
from vigil.database import Database
from vigil.settings import Settings
from vigil.windows import now

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_metadata", "pipeline")]

AWS_SECRET = "recognisable/secret+of+the+account"
WRONG_PASSWORD = "recognisable-but-wrong"


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vigil_environment: Settings) -> None:
    """One simulated series, and credentials that can be recognised."""
    series = [{"name": "orders", "base_rate": 5}]
    simulator = {"kind": "simulator", "name": "shop", "history_days": 0.01, "series": series}
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps({"sources": [simulator]}))
    monkeypatch.setenv("AIRFLOW__VIGIL__PIPELINE_FILE", str(file))
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT",
        json.dumps({"conn_type": "aws", "login": "AKIDEXAMPLE", "password": AWS_SECRET}),
    )


class Told:
    """Everything that a person could read after a run."""

    def __init__(
        self, database: Database, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        self._capfd = capfd
        self._caplog = caplog
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT authentication_string FROM mysql.user WHERE user = %s", (database.user,))
            ((digest,),) = cursor.fetchall()
        assert digest
        self.secrets = [database.password, digest, AWS_SECRET, WRONG_PASSWORD]

    def after(self, dag_id: str) -> str:
        """Run a DAG, and return what was told of it and is kept by Airflow."""
        run = run_dag(dag_id, now())
        kept = [
            file.read_bytes().decode(errors="replace") for file in AIRFLOW_HOME.rglob("*") if file.is_file()
        ]
        said = self._capfd.readouterr()
        told = "\n".join([said.out, said.err, self._caplog.text, *kept])
        assert run.run_id in told, "this looks in the wrong place"
        for secret in self.secrets:
            assert secret not in told
        return told


@pytest.fixture
def told(database: Database, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Told:
    return Told(database, capfd, caplog)


def test_what_a_person_says_in_a_form_is_no_template(connection: Connection[Any]) -> None:
    said = {"series": "orders", "hours": 1, "reason": "{{ conn.vigil_database.password }} {{ 7 * 191 }}"}
    assert run_dag("snooze_alerts", now(), said).state == "success"
    with connection.cursor() as cursor:
        cursor.execute("SELECT reason FROM snoozes")
        assert cursor.fetchall() == ((said["reason"],),)


def test_a_run_that_works_tells_no_secret(told: Told) -> None:
    assert '"ingested":' in told.after("detect_anomalies")
    assert "database grants" in told.after("check_setup")


def test_a_database_that_is_down_or_refuses_is_told_without_its_password(
    told: Told, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for password, port, reason in (
        (database.password, free_port(), "cannot be reached"),
        (WRONG_PASSWORD, database.port, "refuses the login"),
        (f"{WRONG_PASSWORD}/#", database.port, "cannot be read"),
    ):
        uri = f"mysql://{database.user}:{password}@127.0.0.1:{port}/{database.name}"
        monkeypatch.setenv("AIRFLOW_CONN_VIGIL_DATABASE", uri)
        assert reason in told.after("detect_anomalies")


def test_a_refusal_of_aws_is_told_without_the_secret_of_the_account(told: Told, local_aws: str) -> None:
    fault = {"service": "monitoring", "operation": "PutMetricData", "error": "AccessDenied", "status": 403}
    requests.post(f"{local_aws}/_faults", json=fault, timeout=10).raise_for_status()
    try:
        assert "AccessDenied" in told.after("report_metrics")
    finally:
        requests.delete(f"{local_aws}/_faults", timeout=10).raise_for_status()

"""An environment from its first deployment to its end, as a person types it. Slow: Airflow really runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from local_stack.airflow import every
from tests.conftest import aws_environment
from vigil.database import Database

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]

PROJECT = Path(__file__).resolve().parents[2]
NAME = "course"
LIMIT_S = 300


class Person:
    """Types commands in a checkout of the project.

    Attributes:
        checkout: a copy of the project.
        variables: of the shell.
    """

    def __init__(self, checkout: Path, url: str, database: Database) -> None:
        self.checkout = checkout
        login = f"{database.user}:{database.password}@{database.host}:{database.port}"
        self.variables = {
            **aws_environment(url),
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": f"{checkout / 'plugins'}{os.pathsep}{checkout}",
            "COURSE_DATABASE": f"mysql://{login}/{database.name}",
        }
        self.mwaa = boto3.client(
            "mwaa",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            # An address has no names below it.
            config=Config(inject_host_prefix=False),
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "deploy", arguments[0], NAME, *arguments[1:]]

    def types(self, *arguments: str) -> str:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.checkout,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def is_killed_typing(self, *arguments: str, once: Callable[[str], bool]) -> None:
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.checkout,
            env=self.variables,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if once(line):
                process.kill()
                break
        assert process.wait(timeout=30) == -signal.SIGKILL

    def asks_airflow(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = {"Name": f"vigil-{NAME}", "Method": method, "Path": path}
        return self.mwaa.invoke_rest_api(**request, **({"Body": body} if body else {}))["RestApiResponse"]

    def runs(self, dag_id: str) -> str:
        run_id = f"run-{time.monotonic_ns()}"
        path = f"/dags/{dag_id}/dagRuns"
        self.asks_airflow("POST", path, {"dag_run_id": run_id, "logical_date": None, "conf": {}})
        for _ in every(1, LIMIT_S, f"{dag_id} to end"):
            state = self.asks_airflow("GET", f"{path}/{run_id}")["state"]
            if state in ("success", "failed"):
                return str(state)
        raise AssertionError("every() ends by an error")

    def sees_description(self, wanted: str) -> None:
        for _ in every(1, LIMIT_S, f"the description {wanted!r}"):
            if self.asks_airflow("GET", "/dags/detect_anomalies")["description"] == wanted:
                return


@pytest.fixture
def person(tmp_path: Path, local_aws: str, blank_database: Database) -> Iterator[Person]:
    checkout = tmp_path / "checkout"
    for name in ("dags", "plugins", "deploy", "include"):
        shutil.copytree(PROJECT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "requirements.lock", ".gitignore"):
        shutil.copy(PROJECT / name, checkout / name)
    environments = checkout / "deploy" / "environments"
    environment = yaml.safe_load((environments / "embedded.yaml").read_text())
    environment |= {"endpoint": local_aws, "database_connection_from": "COURSE_DATABASE"}
    environment |= {"tags": {"team": "data"}}
    (environments / f"{NAME}.yaml").write_text(yaml.safe_dump(environment))
    someone = Person(checkout, local_aws, blank_database)
    yield someone
    someone.types("destroy", "--confirm", NAME)


def test_deploy_run_change_deploy_again_roll_back_and_tear_down(person, blank_database):
    person.is_killed_typing("deploy", "--yes", once=lambda line: "uploading" in line)
    first = person.types("deploy", "--yes", "--take-over")
    assert "running migrate_database" in first
    assert "window_counts" in tables(blank_database)
    assert person.runs("check_setup") == "success"
    assert "Nothing differs" in person.types("deploy")
    switched = person.asks_airflow("PATCH", "/dags/report_metrics", {"is_paused": False})
    assert switched["is_paused"] is False
    tags = person.mwaa.get_environment(Name=f"vigil-{NAME}")["Environment"]["Tags"]
    assert tags == {"team": "data", "vigil:environment": NAME}
    assert "ok    Amazon MWAA" in person.types("doctor")

    dag = person.checkout / "dags" / "detect_anomalies.py"
    before = 'description="Count events, judge closed windows, alert."'
    assert before in dag.read_text()
    dag.write_text(dag.read_text().replace(before, 'description="changed"'))
    (person.checkout / "include" / "sql" / "setup" / "select_time.sql").write_text("SELECT changed\n")
    template = person.checkout / "deploy" / "airflow.yaml"
    options = "      AirflowConfigurationOptions:\n"
    assert options in template.read_text()
    template.write_text(template.read_text().replace(options, f"{options}        vigil.unheard_of: 1\n"))
    assert "0 new, 3 changed" in person.types("deploy", "--show-only")
    person.types("deploy", "--yes")
    person.sees_description("changed")
    assert person.runs("check_setup") == "failed", "statement and option are wrong, and must be in place"

    person.types("rollback", "--yes")
    person.sees_description("Count events, judge closed windows, alert.")
    assert person.runs("check_setup") == "success"

    assert "Nothing is left." in person.types("destroy", "--confirm", NAME)
    assert "Nothing is left." in person.types("destroy", "--confirm", NAME)


def tables(database: Database) -> set[str]:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
        return {name for (name,) in cursor.fetchall()}

from __future__ import annotations

import json
import os
import stat
import threading
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pymysql
import pytest

from local_stack.mariadb import MariaDB
from local_stack.ports import free_port
from local_stack.private_server import PrivateServer
from local_stack.processes import AIRFLOW, SERVICES, Processes
from local_stack.stack import USER_DATABASE, open_stack
from tests.conftest import SMALL_SERVER


def test_ports_and_secrets_stay_as_they_were_chosen(tmp_path: Path) -> None:
    first = open_stack(tmp_path)
    assert open_stack(tmp_path) == first
    assert len(set(first.ports.values())) == len(first.ports)


def test_secrets_are_readable_by_their_owner_alone_and_stand_in_no_command(tmp_path: Path) -> None:
    stack = open_stack(tmp_path)
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    for program in Processes(stack).programs():
        assert stack.secrets.jwt_secret not in " ".join(program.command)
        assert stack.secrets.airflow_password not in " ".join(program.command)


@pytest.mark.parametrize("user", ["root", "nobody", "vigil"])
def test_nobody_logs_in_to_the_database_without_the_password(
    database_server: PrivateServer, user: str
) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(host="127.0.0.1", port=database_server.port, user=user, password="")


def test_what_is_half_written_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            open_stack(tmp_path)
    stack = open_stack(tmp_path)
    assert set(json.loads((tmp_path / "ports.json").read_text())) == set(stack.ports)
    assert stack.secrets.jwt_secret


def test_a_database_whose_creation_was_interrupted_is_created_anew(tmp_path: Path) -> None:
    server = MariaDB(tmp_path / "database", free_port(), SMALL_SERVER)
    (server.folder / "data.unfinished" / "mysql").mkdir(parents=True)
    server.prepare()
    process = server.start()
    process.terminate()
    assert process.wait(30) == 0
    assert not (server.folder / "data.unfinished").exists()


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_this_machine_is_reached_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv(variable, "db.example")
    environment = open_stack(tmp_path).aws_environment()
    assert environment["NO_PROXY"] == environment["no_proxy"] == "127.0.0.1,localhost,db.example"


def test_an_error_of_the_process_runner_shows_no_password(tmp_path: Path) -> None:
    """Something else answers at its port, and does not know the login."""
    stack = open_stack(tmp_path)
    server = HTTPServer(("127.0.0.1", stack.ports["supervisor"]), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(xmlrpc.client.ProtocolError) as error:
            Processes(stack).start_group(SERVICES)
    finally:
        server.shutdown()
        server.server_close()
    assert stack.secrets.supervisor_password not in f"{error.value!r}"


def test_a_server_named_by_the_user_is_used_and_none_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USER_DATABASE, "mysql://me:secret@db.example:3307/events")
    stack = open_stack(tmp_path)
    assert stack.database.host == "db.example"
    assert "database" not in {program.name for program in Processes(stack).programs()}


def test_airflow_stops_before_what_it_works_with(tmp_path: Path) -> None:
    groups = {program.name: program.group for program in Processes(open_stack(tmp_path)).programs()}
    assert groups["database"] == groups["local-aws"] == SERVICES
    assert {group for name, group in groups.items() if name.startswith("airflow")} == {AIRFLOW}


def test_everything_listens_on_this_machine_only(tmp_path: Path) -> None:
    stack = open_stack(tmp_path)
    stack.mariadb.folder.mkdir()
    (stack.mariadb.folder / "password").write_text("p")
    environment = stack.environment()
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "--bind-address=127.0.0.1" in stack.mariadb.command()

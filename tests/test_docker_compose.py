"""What can be told of docker-compose.yaml where there is no docker engine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import local_aws.__main__
import local_stack.__main__
from local_stack.stack import open_stack
from vigil.errors import SettingsError

PROJECT = Path(__file__).resolve().parents[1]
FILE = PROJECT / "docker-compose.yaml"
COMMANDS = {"local_aws": local_aws.__main__.app, "local_stack": local_stack.__main__.app}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(:?[?-][^}]*)?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return compose["services"]


@pytest.fixture
def dotenv(tmp_path: Path) -> dict[str, str]:
    """What `make .env` writes, into a copy of the project's folder."""
    (tmp_path / "local_stack").mkdir()
    script = tmp_path / "local_stack" / "dotenv.sh"
    script.write_text((PROJECT / "local_stack" / "dotenv.sh").read_text())
    for _ in range(2):
        subprocess.run(["bash", str(script)], check=True, capture_output=True, timeout=30)
    file = tmp_path / ".env"
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_image_is_pinned_in_one_place(compose, services):
    images = set(compose["x-images"].values())
    for image in images:
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+[a-z0-9.-]*", image), image
    built = {service["image"] for service in services.values() if "build" in service}
    assert {service["image"] for service in services.values()} - built <= images
    (version,) = {image.rpartition(":")[2] for image in built}
    assert compose["x-images"]["airflow"].startswith(f"apache/airflow:{version}-")
    assert version == re.search(r"^apache-airflow==(\S+)", (PROJECT / "requirements.in").read_text(), re.M)[1]


def test_every_folder_that_is_mounted_exists_and_every_volume_is_declared(compose, services):
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source, target = mount.split(":")[:2]
            if source.startswith("."):
                assert (PROJECT / source).is_dir(), f"{name} mounts {source}"
                assert mount.endswith(":ro"), f"{name} may write to {source}"
            else:
                assert source in compose["volumes"], f"{name} uses the volume {source}"
            assert target.startswith("/")


def test_every_command_is_one_that_the_code_knows_with_its_options(services):
    for name, service in services.items():
        lines = [service["command"]] if "build" in service else []
        check = service.get("healthcheck", {}).get("test", [])
        if check[:3] == ["CMD", "python", "-m"]:
            lines.append(check[3:])
        for module, command, *arguments in lines:
            group: Any = typer.main.get_command(COMMANDS[module])
            known = group.commands[command]
            parsed = known.make_context(command, list(arguments))
            assert not parsed.args, f"{name}: {parsed.args}"


def test_what_waits_for_a_healthy_service_waits_for_one_that_has_a_check(services):
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other}"
            else:
                assert services[other]["restart"] == "no", f"{other} never completes"
    lasting = {name for name, service in services.items() if service.get("restart") != "no"}
    assert {name for name in lasting if "healthcheck" not in services[name]} == {"adminer", "network"}


def test_ports_are_published_on_this_machine_only_and_do_not_collide(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)
    assert services["adminer"]["ports"] == ["127.0.0.1:8080:8080"]
    for name, service in services.items():
        assert not ("ports" in service and "network_mode" in service), f"{name} has no network to publish"


def test_every_secret_is_made_by_make_env_and_none_stands_in_the_file(dotenv):
    used = {match[1]: match[2] or "" for match in VARIABLE.finditer(FILE.read_text())}
    required = {name for name, rest in used.items() if rest.startswith(":?")}
    assert required == dotenv.keys()
    assert all(rest for rest in used.values()), "a variable without a default would be empty in silence"
    assert all(len(value) >= 16 for value in dotenv.values())
    assert len(set(dotenv.values())) == len(dotenv)


def test_the_stack_in_the_containers_uses_what_compose_gives_it(services, dotenv, tmp_path, monkeypatch):
    def filled_in(text: str) -> str:
        return VARIABLE.sub(lambda m: dotenv.get(m[1], (m[2] or "").removeprefix(":-")), text)

    for name, value in services["airflow-scheduler"]["environment"].items():
        monkeypatch.setenv(name, filled_in(str(value)))
    stack = open_stack(tmp_path)
    assert stack.external
    assert stack.database.host == "mysql"
    assert stack.database.password == dotenv["MYSQL_PASSWORD"]
    assert stack.secrets.airflow_password == dotenv["AIRFLOW_PASSWORD"]
    environment = stack.environment()
    assert dotenv["POSTGRES_PASSWORD"] in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert environment["AIRFLOW__API__HOST"] == "0.0.0.0"  # noqa: S104 - of a container
    assert str(stack.ports["local_aws"]) in services["local-aws"]["command"]
    assert services["network"]["ports"] == [f"127.0.0.1:{stack.ports['airflow']}:{stack.ports['airflow']}"]
    monkeypatch.delenv("VIGIL_SECRET_JWT_SECRET")
    with pytest.raises(SettingsError, match="VIGIL_SECRET_JWT_SECRET must be set"):
        open_stack(tmp_path)

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from deploy.environment import Environment
from deploy.errors import DeployError
from deploy.packaging import build_package
from deploy.wheels import fetch_wheels, locked_requirements

PROJECT = Path(__file__).resolve().parents[2]


def environment(**given: object) -> Environment:
    return Environment(name="prod", account="111122223333", region="eu-west-1", **given)


def test_every_requirement_of_mwaa_is_fetched_by_the_hash_that_the_lock_has_of_it():
    lines = locked_requirements(PROJECT)
    pins = [
        line.strip()
        for line in (PROJECT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    ]
    assert [line.split()[0] for line in lines] == pins
    assert all(" --hash=sha256:" in line for line in lines)
    (numpy,) = [line for line in lines if line.startswith("numpy")]
    lock = (PROJECT / "requirements.lock").read_text()
    of_this_version = lock[lock.index(f"{numpy.split()[0]} ;") :].split("==", 2)[1]
    assert all(part in of_this_version for part in numpy.split()[1:])


def test_a_pin_that_the_lock_lacks_is_named(tmp_path):
    shutil.copy(PROJECT / "requirements.lock", tmp_path)
    (tmp_path / "requirements.txt").write_text("PyMySQL==0.0.1\n")
    with pytest.raises(DeployError, match=r"does not have PyMySQL==0.0.1"):
        locked_requirements(tmp_path)


def test_wheels_that_are_there_are_not_fetched_again(tmp_path, monkeypatch):
    def pretend(lines: list[str], folder: Path) -> None:
        (folder / "b.whl").touch()
        (folder / "a.whl").touch()

    monkeypatch.setattr("deploy.wheels._download", pretend)
    first = fetch_wheels(PROJECT, tmp_path)
    assert [wheel.name for wheel in first] == ["a.whl", "b.whl"]
    monkeypatch.setattr("deploy.wheels._download", None)
    assert fetch_wheels(PROJECT, tmp_path) == first


def test_a_fetch_that_died_leaves_nothing_that_would_be_taken_for_all(tmp_path, monkeypatch):
    def die(lines: list[str], folder: Path) -> None:
        (folder / "a.whl").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.wheels._download", die)
    with pytest.raises(KeyboardInterrupt):
        fetch_wheels(PROJECT, tmp_path)
    monkeypatch.setattr("deploy.wheels._download", lambda lines, folder: (folder / "b.whl").touch())
    assert [wheel.name for wheel in fetch_wheels(PROJECT, tmp_path)] == ["b.whl"]


def test_a_package_with_wheels_installs_from_them_alone(tmp_path):
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    package = build_package(PROJECT, tmp_path / "with", [wheel])
    with zipfile.ZipFile(package.folder / "plugins.zip") as archive:
        assert archive.read(f"wheels/{wheel.name}") == b"wheel"
    lines = (package.folder / "requirements.txt").read_text().splitlines()
    assert lines[:2] == ["--no-index", "--find-links /usr/local/airflow/plugins/wheels"]
    assert package.files == build_package(PROJECT, tmp_path / "again", [wheel]).files
    assert package.files.keys() == build_package(PROJECT, tmp_path / "without").files.keys()


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, True),
        ({"parameters": {"Egress": "nat"}}, True),
        ({"parameters": {"Egress": "nat", "WebserverAccessMode": "PUBLIC_ONLY"}}, False),
        ({"parameters": {"WebserverAccessMode": "PUBLIC_ONLY"}}, True),
        ({"leave_out": {"network"}}, True),
        ({"leave_out": {"network"}, "parameters": {"WebserverAccessMode": "PUBLIC_ONLY"}}, False),
        ({"wheels": False}, False),
    ],
)
def test_wheels_are_packed_where_nothing_else_reaches_mwaa(given, needed):
    assert environment(**given).needs_wheels is needed

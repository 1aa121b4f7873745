"""How a container of MWAA starts: who wins, what startup.sh may do, what lands where."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from local_aws.files import UnsafePathError
from local_aws.mwaa.home import Home
from local_aws.mwaa.image import (
    Container,
    Essentials,
    StartupError,
    exports_of,
    is_protected,
    merge,
    overruled,
    variable_of,
)
from local_aws.mwaa.requirements import requirements_in, unmet_requirements

ESSENTIALS = Essentials("sqlite:////nowhere", "http://localhost:8080", "fernet", "secret", "jwt")


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(
        "vigil-prod", "scheduler", "eu-west-1", tmp_path / "home", tmp_path / "image", os.environ["PATH"]
    )


def exports(container: Container, tmp_path: Path, script: str, limit_s: float = 20) -> dict[str, str]:
    file = tmp_path / "startup.sh"
    file.write_text(script)
    with (tmp_path / "log").open("wb") as log:
        return exports_of(file, container.variables(), log, limit_s)


def test_the_stronger_wins(container: Container) -> None:
    startup = {
        "AIRFLOW__CORE__PARALLELISM": "1",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "7",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "True",
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
        "AIRFLOW_HOME": "/elsewhere",
        "MWAA__CORE__X": "mine",
        "MINE": "kept",
    }
    options = {
        "core.parallelism": "2",
        "scheduler.task_queued_timeout": "8",
        "core.load_examples": "True",
        "vigil.bucket": "b",
    }
    merged = merge(container, startup, options, ESSENTIALS)
    assert merged["AIRFLOW__CORE__PARALLELISM"] == "2", "options are stronger than startup.sh"
    assert merged["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == "8", "options are stronger than opinions"
    assert merged["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "True", "startup.sh is stronger than opinions"
    assert merged["AIRFLOW__API__SERVER_TYPE"] == "gunicorn", "opinions hold where nobody says anything"
    assert merged["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor", "what MWAA needs is stronger than anything"
    assert merged["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert merged["AIRFLOW_HOME"] == str(container.home), "startup.sh cannot change what is protected"
    assert "MWAA__CORE__X" not in merged
    assert merged["MINE"] == "kept"
    assert merged["AIRFLOW__VIGIL__BUCKET"] == "b"
    assert overruled(startup, options, ESSENTIALS) == [
        "AIRFLOW_HOME",
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "MWAA__CORE__X",
    ]


@pytest.mark.parametrize("name", ["PYTHONPATH", "MWAA__ANYTHING", "ECS_X", "AWS_REGION", "AIRFLOW_ENV_NAME"])
def test_what_is_protected(name: str) -> None:
    assert is_protected(name)
    assert not is_protected(f"MY_{name}")


@pytest.mark.parametrize("option", ["bucket", "Vigil.bucket", "vigil.", ".bucket", "vigil.bu-cket", "1.2"])
def test_what_is_no_option_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=r"section\.option"):
        variable_of(option)


def test_secrets_are_not_shown() -> None:
    assert "fernet" not in repr(ESSENTIALS)
    assert "jwt" not in repr(ESSENTIALS).replace("jwt_secret", "")


def test_only_what_the_start_script_exports_is_taken(container: Container, tmp_path: Path) -> None:
    script = 'export MINE="two\nlines"\nNOT_EXPORTED=1\nexport LANG=C.UTF-8\n'
    script += 'echo "in $MWAA_AIRFLOW_COMPONENT" >&2\n'
    assert exports(container, tmp_path, script) == {"MINE": "two\nlines"}
    assert (tmp_path / "log").read_text() == "in scheduler\n"


def test_the_start_script_sees_nothing_of_the_machine(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_MACHINE", "x")
    assert exports(container, tmp_path, 'export SEEN="${OF_THE_MACHINE:-no}"') == {"SEEN": "no"}


def test_a_start_script_must_end_cleanly_and_in_time(container: Container, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="do not `exit`"):
        exports(container, tmp_path, "export MINE=1\nexit 0\n")
    with pytest.raises(StartupError, match="longer than"):
        exports(container, tmp_path, "sleep 20\n", limit_s=0.2)


def archive(entries: dict[str, bytes], link: str = "") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as plugins:
        for name, content in entries.items():
            plugins.writestr(name, content)
        if link:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = 0o120777 << 16
            plugins.writestr(entry, "/etc/passwd")
    return target.getvalue()


def test_a_start_takes_up_what_there_is_and_nothing_of_before(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.lay_out(archive({"a/old.py": b"1", ".airflowignore": b"a/\n"}), b"x==1\n", b"true\n")
    assert (home.plugins / "a" / "old.py").read_bytes() == b"1"
    assert home.requirements.read_bytes() == b"x==1\n"
    home.lay_out(archive({"new.py": b"2"}), None, None)
    assert [path.name for path in home.plugins.rglob("*")] == ["new.py"]
    assert not home.requirements.exists()
    assert not home.startup_script.exists()


@pytest.mark.parametrize("name", ["../escaped.py", "/escaped.py", "a/../../escaped.py"])
def test_no_plugin_leaves_its_folder(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    with pytest.raises(UnsafePathError):
        home.lay_out(archive({name: b"x"}), None, None)
    with pytest.raises(UnsafePathError, match="is a link"):
        home.lay_out(archive({}, link="passwords"), None, None)
    assert not list(tmp_path.rglob("escaped.py"))


def test_an_archive_that_is_none_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    with pytest.raises(ValueError, match=r"plugins\.zip is no zip archive"):
        home.lay_out(b"no archive", None, None)


def test_requirements_that_are_not_met_are_named() -> None:
    text = "# a comment\n--only-binary :all:\nPyMySQL==1.1.3  # the driver\npydantic==0.1\nno-such-thing==1\n"
    text += "tomli==2 ; python_version < '3'\n"
    assert [wanted.name for wanted in requirements_in(text)] == [
        "PyMySQL",
        "pydantic",
        "no-such-thing",
        "tomli",
    ]
    first, second = unmet_requirements(text)
    assert first.startswith("pydantic==0.1: ")
    assert first.endswith("is installed")
    assert second == "no-such-thing==1: not installed"
    with pytest.raises(ValueError, match="is no requirement"):
        requirements_in("what is this\n")

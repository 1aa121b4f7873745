from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def make(*arguments: str, **variables: str) -> str:
    """Return what make would do."""
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_shells_own_variable_names_no_environment() -> None:
    assert "local_stack doctor" in make("doctor", ENV="/home/somebody/.profile")
    assert 'deploy doctor "prod"' in make("doctor", "ENV=prod", ENV="/home/somebody/.profile")


@pytest.mark.parametrize("variables", [{}, {"NO_PROXY": "db.example"}, {"no_proxy": "db.example"}])
def test_commands_reach_this_machine_without_a_proxy(variables: dict[str, str]) -> None:
    wanted = ",".join(["127.0.0.1", "localhost", *variables.values()])
    lines = make("--print-data-base", "help", **variables).splitlines()
    assert f"NO_PROXY := {wanted}" in lines
    assert f"no_proxy := {wanted}" in lines

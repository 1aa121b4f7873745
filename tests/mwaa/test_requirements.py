"""requirements.txt, held to what it is a part of."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement

from local_aws.mwaa.requirements import requirements_in, takes_airflows_constraints
from tests.mwaa.image_packages import CONSTRAINTS, ESSENTIAL, PROJECT, normalised, pins, preinstalled

TEXT = (PROJECT / "requirements.txt").read_text()
# What matplotlib needs; a test with the image's packages holds the rest of the list to what it installs.
OF_OTHERS = {"contourpy", "cycler", "fonttools", "kiwisolver", "pillow", "pyparsing"}


def named() -> dict[str, str]:
    found = {}
    for wanted in requirements_in(TEXT):
        (pin,) = wanted.specifier
        assert pin.operator == "==", f"{wanted} is no exact pin"
        found[normalised(wanted.name)] = pin.version
    assert found
    return found


def third_party_imports() -> set[str]:
    """Return the packages that plugins/ and dags/ import, lazily imported ones too."""
    files = [*(PROJECT / "plugins").rglob("*.py"), *(PROJECT / "dags").rglob("*.py")]
    modules = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.split(".")[0])
    return modules - set(sys.stdlib_module_names) - {"vigil"}


def test_every_pin_is_the_locks_and_mwaas() -> None:
    locked = [
        Requirement(line.removesuffix("\\").strip())
        for line in (PROJECT / "requirements.lock").read_text().splitlines()
        if line[:1].isalnum()
    ]
    on_mwaa = {"python_version": "3.12", "python_full_version": "3.12.13", "sys_platform": "linux"}
    there = {
        normalised(wanted.name): str(wanted.specifier).removeprefix("==")
        for wanted in locked
        if wanted.marker is None or wanted.marker.evaluate(on_mwaa)
    }
    for file in (CONSTRAINTS, ESSENTIAL):
        there_as_well = pins(file)
        for name, version in named().items():
            assert version == there[name]
            assert version == there_as_well.get(name, version)


def test_it_names_what_the_image_lacks_and_nothing_else() -> None:
    distributions = packages_distributions()
    imported = {normalised(name) for module in third_party_imports() for name in distributions[module]}
    # The namespace `airflow` is many distributions; what is imported of it is told apart by the parity test.
    wanted = {name for name in imported if not name.startswith("apache-airflow")} - {"types-pymysql"}
    assert wanted >= {"pymysql", "numpy", "pyarrow", "matplotlib", "pydantic", "boto3"}
    assert named().keys() - OF_OTHERS == wanted - preinstalled().keys()
    assert not named().keys() & preinstalled().keys()


def test_mwaa_holds_it_to_airflows_constraints_and_compiles_nothing() -> None:
    assert takes_airflows_constraints(TEXT)
    assert "--only-binary :all:" in TEXT.splitlines()


@pytest.mark.parametrize("line", ["-c mine.txt", "# as with -c mine.txt", "--constraint mine.txt"])
def test_an_innocent_comment_switches_the_constraints_off(line: str) -> None:
    assert not takes_airflows_constraints(f"{TEXT}{line}\n")

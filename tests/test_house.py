"""The rules of the house, held against the code's own imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "plugins" / "vigil"
DOMAINS = ("detection", "training", "release", "stacks", "health", "operations")
AIRFLOWS_ROOMS = ("operators", "monitor")
# Stands beside the operators, and so may look into every domain, but needs no Airflow.
SETUP = "setup"


def imports_of(file: Path) -> set[str]:
    """Return every module that a file names in an import, wherever the import stands."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file} imports relatively"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_in(*rooms: Path) -> list[Path]:
    found = [file for room in rooms for file in sorted(room.rglob("*.py"))]
    assert found, f"there is nothing to look at in {rooms}"
    return found


def reaches(file: Path, *packages: str) -> set[str]:
    return {
        name
        for name in imports_of(file)
        if any(name == package or name.startswith(f"{package}.") for package in packages)
    }


def test_domains_import_no_airflow() -> None:
    for file in files_in(*(PACKAGE / domain for domain in DOMAINS if (PACKAGE / domain).exists())):
        assert not reaches(file, "airflow"), file


def test_what_is_missing_can_be_asked_without_airflow() -> None:
    for file in files_in(PACKAGE / SETUP):
        assert not reaches(file, "airflow", *(f"vigil.{room}" for room in AIRFLOWS_ROOMS)), file


def test_a_domain_imports_no_other_domain_and_nothing_above_it() -> None:
    for domain in DOMAINS:
        others = [f"vigil.{room}" for room in (*DOMAINS, SETUP, *AIRFLOWS_ROOMS) if room != domain]
        for file in (PACKAGE / domain).rglob("*.py"):
            assert not reaches(file, *others), file


def test_the_ground_floor_imports_no_domain_and_no_airflow() -> None:
    above = [f"vigil.{room}" for room in (*DOMAINS, SETUP, *AIRFLOWS_ROOMS)]
    ground_floor = sorted(PACKAGE.glob("*.py"))
    assert ground_floor
    for file in ground_floor:
        assert not reaches(file, "airflow", *above), file


def test_dag_files_only_wire() -> None:
    allowed = ("__future__", "datetime", "airflow", "vigil.operators")
    for file in files_in(PROJECT / "dags"):
        others = {n for n in imports_of(file) if not any(n == a or n.startswith(f"{a}.") for a in allowed)}
        assert not others, file


def test_the_embedded_aws_and_the_pipeline_do_not_know_each_other() -> None:
    for file in files_in(PACKAGE, PROJECT / "dags"):
        assert not reaches(file, "local_aws", "local_stack", "tests", "bench"), file
    for file in files_in(PROJECT / "local_aws"):
        assert not reaches(file, "vigil", "local_stack", "tests", "bench"), file


def test_nothing_relies_on_folders_that_are_on_no_path_on_mwaa() -> None:
    for file in files_in(PACKAGE, PROJECT / "dags"):
        assert not reaches(file, "include", "dags", "plugins"), file


def test_parsing_the_dags_loads_no_heavy_library_and_takes_under_two_seconds() -> None:
    script = """
import sys, time
import airflow.sdk
import airflow.providers.amazon.aws.hooks.base_aws  # the provider comes with Airflow
started = time.process_time()
for name in sys.argv[1:]:
    exec(compile(open(name).read(), name, "exec"), {"__name__": name})
print(time.process_time() - started)
print(sorted({"numpy", "pandas", "matplotlib", "xgboost", "sklearn", "pymysql"} & set(sys.modules)))
"""
    dags = [str(file) for file in files_in(PROJECT / "dags")]
    done = subprocess.run(
        [sys.executable, "-c", script, *dags], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    seconds, heavy = done.stdout.split("\n")[-3:-1]
    assert heavy == "[]"
    assert float(seconds) < 2


@pytest.mark.parametrize(
    "file",
    sorted((PROJECT / "include" / "sql").rglob("*.sql")),
    ids=lambda file: f"{file.parent.name}/{file.stem}",
)
def test_every_statement_says_what_it_is_for(file: Path) -> None:
    header = re.match(r"(-- .*\n)+", file.read_text(encoding="utf-8"))
    assert header, "the file must begin with a comment that says its purpose"


def test_no_sql_stands_in_python() -> None:
    # Migrations keep their own log, and so name it themselves.
    exempt = {PACKAGE / "migrations.py"}
    pattern = re.compile(r"[\"'](SELECT|INSERT|UPDATE|DELETE)\s.*\b(FROM|INTO|SET|VALUES)\b")
    for file in files_in(PACKAGE):
        if file not in exempt:
            assert not pattern.search(file.read_text(encoding="utf-8")), file


def test_no_statement_locks_rows_beside_a_json_table() -> None:
    """MySQL refuses it (error 3569), and MariaDB, on which tests run, does not."""
    for file in sorted((PROJECT / "include" / "sql").rglob("*.sql")):
        text = file.read_text(encoding="utf-8")
        if re.search(r"^FOR (UPDATE|SHARE)", text, re.MULTILINE):
            assert not re.search(r"^(FROM|STRAIGHT_JOIN|(LEFT )?JOIN) JSON_TABLE", text, re.MULTILINE), file

"""The page of threats, held against the tests that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "threat-model.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
HEADING = "| threat | what holds against it | test |"


def threats() -> list[list[str]]:
    """Return the cells of every line below the heading of the threats."""
    _, _, below = PAGE.read_text(encoding="utf-8").partition(HEADING)
    lines = below.strip().splitlines()[1:]
    table = lines[: next(place for place, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def names_of_tests_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_threat_names_a_test_that_there_is() -> None:
    found = threats()
    assert len(found) > 20
    for threat, holds, named in found:
        tests = NAMED.findall(named)
        assert holds, threat
        assert tests, f"{threat}: no test shows it"
        assert not NAMED.sub("", named).strip(), f"{threat}: {named}"
        for file, name in tests:
            assert name in names_of_tests_in(PROJECT / file), f"{threat}: there is no {file}::{name}"


def test_it_stays_one_page() -> None:
    text = NAMED.sub("", PAGE.read_text(encoding="utf-8"))
    assert len(text.split()) < 1_200

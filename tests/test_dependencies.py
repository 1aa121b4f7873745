"""What is installed: under which licences, and each file known by its hash."""

from __future__ import annotations

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

import pytest

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
PACKAGE = re.compile(r"^([a-zA-Z0-9._-]+)==\S+", re.MULTILINE)

ALLOWED = {
    "0BSD",
    "3-Clause BSD License",
    "Apache License 2.0",
    "Apache Software License",
    "Apache-2.0",
    "BSD",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CNRI-Python",
    "ISC License (ISCL)",
    "MIT",
    "MIT License",
    "MIT No Attribution License (MIT-0)",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
    "Python Software Foundation License",
    "The Unlicense (Unlicense)",
    "Zlib",
}
# Allowed all the same, and why.
EXCEPTIONS = {
    "supervisor": "BSD-derived, as its LICENSES.txt says: it asks for notices only",
    "text-unidecode": "Artistic License or GPL, at the user's choice: the former is taken",
}


def licences_of(package: PackageMetadata) -> set[str]:
    """Return all that a package names; of an expression every part, so that no OR is taken for granted."""
    expression = package.get("License-Expression")
    if expression:
        return _parts(expression)
    classifiers = [
        text.split(" :: ")[-1] for text in package.get_all("Classifier", []) if "License ::" in text
    ]
    named = {name for name in classifiers if name not in ("OSI Approved", "DFSG approved")}
    return named or _parts(str(package.get("License", "none is named")).splitlines()[0])


def _parts(expression: str) -> set[str]:
    return set(re.split(r" (?:AND|OR) ", expression.strip("()")))


def locked() -> list[str]:
    return PACKAGE.findall(LOCK.read_text(encoding="utf-8"))


def test_every_locked_package_has_a_licence_that_is_allowed() -> None:
    strange = {}
    installed = 0
    for name in locked():
        try:
            package = metadata(name)
        except PackageNotFoundError:
            continue  # of another Python, or another system
        installed += 1
        rest = licences_of(package) - ALLOWED
        if rest and name not in EXCEPTIONS:
            strange[name] = rest
    assert installed > 150
    assert not strange


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_exception_is_needed(name: str) -> None:
    assert licences_of(metadata(name)) - ALLOWED


def test_every_locked_package_is_known_by_hashes_alone() -> None:
    text = LOCK.read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(locked())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text

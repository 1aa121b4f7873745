"""A virtual environment with the packages of MWAA's image, and requirements.txt added as MWAA does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_aws.mwaa.image import PYTHON
from local_aws.mwaa.requirements import takes_airflows_constraints

PROJECT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).with_name("data")
CONSTRAINTS = DATA / "constraints-3.3.1-python3.12.txt"
ESSENTIAL = DATA / "essential-constraints-3.3.1.txt"
PREINSTALLED = DATA / "preinstalled-3.3.1.txt"
VENVS = PROJECT / "var" / "mwaa-venv"
REQUIRE = "VIGIL_REQUIRE_MWAA"
# A source distribution beside the wheel that is the same; and type stubs, which nothing runs.
_NOT_INSTALLED = ("psycopg2==", "boto3_stubs", "botocore_stubs", "mypy_boto3", "types_s3transfer")
_INSTALL_LIMIT_S = 540


@dataclass(frozen=True)
class ImagePackages:
    """The virtual environment.

    Attributes:
        folder: of it.
        image: versions of the image's own packages, by name.
        all: the same after requirements.txt.
        install_s: seconds that pip's part took.
    """

    folder: Path
    image: dict[str, str]
    all: dict[str, str]
    install_s: float

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


def pins(file: Path) -> dict[str, str]:
    """Return the versions that a file of pins names, by normalised name."""
    lines = [line for line in file.read_text().splitlines() if "==" in line and not line.startswith("#")]
    return {normalised(name): version for name, version in (line.split("==", 1) for line in lines)}


def normalised(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")


def preinstalled() -> dict[str, str]:
    """Return what of the image's packages the tests install."""
    lines = PREINSTALLED.read_text().splitlines()
    return {
        normalised(name): version
        for name, version in (line.split("==") for line in lines if not line.startswith(_NOT_INSTALLED))
    }


def image_packages(requirements: Path) -> ImagePackages:
    """Make the virtual environment, unless it is there.

    Args:
        requirements: the package's requirements.txt.
    """
    python = interpreter()
    inputs = (CONSTRAINTS, ESSENTIAL, PREINSTALLED, requirements, Path(__file__))
    digest = hashlib.sha256(python.encode() + b"".join(file.read_bytes() for file in inputs))
    folder = VENVS / digest.hexdigest()[:16]
    made = folder / "made.json"
    if not made.exists():
        shutil.rmtree(VENVS, ignore_errors=True)
        made.write_text(json.dumps(_make(folder, python, requirements)))
    return ImagePackages(folder, **json.loads(made.read_text()))


def interpreter() -> str:
    """Find Python 3.12, or skip; the variable VIGIL_REQUIRE_MWAA makes it a failure instead."""
    for candidate in _candidates():
        try:
            ask = "import sys; print('%d.%d' % sys.version_info[:2])"
            said = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False).stdout
        except OSError:
            continue
        if said.strip() == PYTHON:
            return candidate
    missing = (
        f"there is no Python {PYTHON}, which Amazon MWAA runs: install it (`uv python install {PYTHON}`)"
    )
    if os.environ.get(REQUIRE):
        pytest.fail(f"{missing}; {REQUIRE} is set")
    pytest.skip(missing)


def _candidates() -> Iterator[str]:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:
        yield sys._base_executable  # type: ignore[attr-defined]
    yield f"python{PYTHON}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(found) for found in sorted(pyenv.glob(f"versions/{PYTHON}*/bin/python{PYTHON}"))[::-1])
    found = subprocess.run(
        [_uv(), "python", "find", "--no-python-downloads", PYTHON], capture_output=True, text=True
    )
    yield from found.stdout.split()


def _uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


def _make(folder: Path, python: str, requirements: Path) -> dict[str, object]:
    _run("venv", "--quiet", "--python", python, str(folder))
    listed = folder / "image.txt"
    listed.write_text("".join(f"{name}=={version}\n" for name, version in preinstalled().items()))
    _install(
        folder, "--only-binary", ":all:", "-r", str(listed), "-c", str(CONSTRAINTS), "-c", str(ESSENTIAL)
    )
    image = _installed(folder)
    started = time.monotonic()
    more = ["-c", str(CONSTRAINTS)] if takes_airflows_constraints(requirements.read_text()) else []
    _install(folder, "--constraint", str(ESSENTIAL), "-r", str(requirements), *more)
    install_s = time.monotonic() - started
    _run("pip", "check", "--quiet", "--python", str(folder))
    return {"image": image, "all": _installed(folder), "install_s": install_s}


def _install(folder: Path, *arguments: str) -> None:
    _run("pip", "install", "--quiet", "--python", str(folder), *arguments)


def _installed(folder: Path) -> dict[str, str]:
    listed = json.loads(_run("pip", "list", "--quiet", "--format", "json", "--python", str(folder)))
    return {normalised(package["name"]): package["version"] for package in listed}


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [_uv(), *arguments], capture_output=True, text=True, timeout=_INSTALL_LIMIT_S, cwd="/"
    )
    assert done.returncode == 0, f"uv {' '.join(arguments)}:\n{done.stderr}"
    return done.stdout

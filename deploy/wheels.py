"""Wheels for a network without a way to PyPI: fetched here by the lock's hashes, packed with the plugins."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.errors import DeployError

# Where Amazon MWAA unpacks plugins.zip, and what its image is.
WHEELS = "wheels"
_UNPACKED = f"/usr/local/airflow/plugins/{WHEELS}"
_PYTHON = {"python_version": "3.12", "python_full_version": "3.12.13", "sys_platform": "linux"}
_PIP = "pip==26.3"
_GLIBC = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_17", "manylinux2014")
_PLATFORM = (
    *("--python-version", "3.12", "--implementation", "cp"),
    *(argument for version in _GLIBC for argument in ("--platform", f"{version}_x86_64")),
)
_LIMIT_S = 600
_ENTRY = re.compile(r"^(?P<requirement>[^\s#-][^\\\n]*?)(?P<hashes>(?:\s*\\\n\s+--hash=\S+)+)", re.MULTILINE)


def fetch_wheels(project: Path, cache: Path) -> list[Path]:
    """Fetch a wheel of everything in `requirements.txt`, for Amazon MWAA's image; return them in order.

    Args:
        project: the checkout.
        cache: folder that keeps them; one that is there already is not fetched again.

    Raises:
        DeployError: a pin is not in the lock, or a wheel cannot be fetched.
    """
    lines = locked_requirements(project)
    folder = cache / hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    if not folder.exists():
        unfinished = cache / f".{folder.name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _download(lines, unfinished)
        unfinished.rename(folder)
    return sorted(folder.glob("*.whl"))


def locked_requirements(project: Path) -> list[str]:
    """Return the pins of `requirements.txt` with the hashes that `requirements.lock` has of them.

    Raises:
        DeployError: a pin is not in the lock.
    """
    hashes = _hashes(project / "requirements.lock")
    lines = [line.strip() for line in (project / "requirements.txt").read_text(encoding="utf-8").splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    unknown = [str(pin) for pin in pins if _key(pin) not in hashes]
    if unknown:
        raise DeployError(
            f"requirements.lock does not have {', '.join(unknown)} of requirements.txt: run `make lock`, and "
            "write the same versions into both."
        )
    return [f"{pin} {hashes[_key(pin)]}" for pin in pins]


def offline_requirements(text: str) -> str:
    """Return the text of `requirements.txt` for an installation from the wheels among the plugins."""
    return f"--no-index\n--find-links {_UNPACKED}\n{text}"


def _hashes(lock: Path) -> dict[str, str]:
    """Return the hashes of each pin that holds for Amazon MWAA's Python."""
    found = {}
    for entry in _ENTRY.finditer(lock.read_text(encoding="utf-8")):
        pin = Requirement(entry["requirement"])
        if pin.marker is None or pin.marker.evaluate(_PYTHON):
            found[_key(pin)] = " ".join(entry["hashes"].replace("\\", " ").split())
    return found


def _key(pin: Requirement) -> str:
    return f"{canonicalize_name(pin.name)}{pin.specifier}"


def _download(lines: Sequence[str], folder: Path) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text("\n".join(lines) + "\n")
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [
            *(str(uv), "tool", "run", "--from", _PIP, "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary", ":all:", "--require-hashes", *_PLATFORM),
            *("--dest", str(folder), "--requirement", str(wanted)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT_S,
    )
    if done.returncode:
        raise DeployError(f"The wheels of requirements.txt cannot be fetched:\n{done.stdout[-2000:]}")
    wanted.unlink()

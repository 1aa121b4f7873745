"""What an instance is shown of this machine besides its system: the project and the Python that runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_ENTRY = PROJECT / "local_aws/ec2/guest/__main__.py"
_STATE = PROJECT / "var"  # databases and their sockets: no business of an instance's


@dataclass(frozen=True)
class View:
    """Folders to be seen, folders in them that are hidden all the same, and links to be there."""

    shown: list[str]
    hidden: list[str]
    links: dict[str, str]


def view(state_dir: Path) -> View:
    """Tell what instances of a server with this state directory are shown."""
    folders = {os.path.realpath(path) for path in (PROJECT, sys.prefix, sys.base_prefix)}
    hidden = [str(path) for path in {_STATE, state_dir.resolve()} if path.is_dir()]
    shown = [one for one in sorted(folders) if not _is_seen_with(one, folders, hidden)]
    return View(shown, hidden, dict(_links()))


def interpreter() -> list[str]:
    """Give the command that runs a program of the instance's, whose name and arguments follow."""
    return [sys.executable, "-I", "-S", "-B", str(_ENTRY)]


def _is_seen_with(folder: str, folders: set[str], hidden: list[str]) -> bool:
    above = [one for one in folders if folder.startswith(f"{one}/")]
    return bool(above) and not any(folder.startswith(f"{one}/") for one in hidden)


def _links() -> Iterator[tuple[str, str]]:
    """Follow the names that the interpreter goes by to what they stand for."""
    for path in (sys.base_prefix, sys.prefix):
        if os.path.islink(path):
            yield path, os.path.realpath(path)
    path = sys.executable
    while os.path.islink(path):
        target = os.path.join(os.path.dirname(path), os.readlink(path))
        yield path, target
        path = target

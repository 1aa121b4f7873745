"""Files that must be whole or not there at all, and archives that must stay in their place."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path
from typing import BinaryIO

_MOST_BYTES = 8 << 30
_MOST_ENTRIES = 100_000


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


class UnsafePathError(ValueError):
    """A name that would lead out of the directory it belongs to."""


class TooLargeError(ValueError):
    """An archive that unpacks to more than anybody wants."""


def inside(directory: Path, name: str) -> Path:
    """Join a name to a directory, refusing one that escapes it."""
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise UnsafePathError(f"{name!r} leads out of its directory")
    return path


def extract_archive(
    archive: BinaryIO, directory: Path, most_bytes: int = _MOST_BYTES, most_entries: int = _MOST_ENTRIES
) -> None:
    """Unpack the files and directories of a tar archive; links and devices are refused.

    Raises:
        UnsafePathError: an entry leads out of the directory, or is neither a file nor a directory.
        TooLargeError: there is more than the limits allow; what was unpacked until then stays.
    """
    left = most_bytes
    with tarfile.open(fileobj=archive) as tar:
        for number, member in enumerate(tar):
            left -= member.size
            if left < 0 or number >= most_entries:
                raise TooLargeError(f"it unpacks to more than {most_bytes} bytes or {most_entries} files")
            target = inside(directory, member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise UnsafePathError(f"{member.name!r} is neither a file nor a directory")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                while chunk := content.read(1 << 20):
                    file.write(chunk)
            target.chmod(0o755 if member.mode & 0o100 else 0o644)


def pack_archive(directory: Path, target: BinaryIO) -> None:
    """Pack what a directory holds, without the directory itself."""
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=6) as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, arcname=path.name)

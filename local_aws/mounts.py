"""Shows a directory at another path to one command; nothing is made on the machine's own disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

# Hides the parent under a fresh one, links everything that was there back in, and adds ours.
_MOUNT = """
set -e
source=$1 target=$2 old=$3; shift 3
parent=${target%/*}
mkdir -p "$old"
mount --rbind "$parent" "$old"
mount -t tmpfs tmpfs "$parent"
for entry in "$old"/*; do
    name=$parent/${entry##*/}
    if [ "$name" = "$target" ]; then continue; fi
    if [ -d "$entry" ]; then mkdir "$name"; mount --rbind "$entry" "$name"
    elif [ -e "$entry" ]; then : > "$name"; mount --bind "$entry" "$name"
    fi
done
mkdir "$target"
mount --rbind "$source" "$target"
exec "$@"
"""


def mounted(source: Path, target: Path, old: Path, command: Sequence[str]) -> list[str] | None:
    """Return a command that sees a directory at a path, or None where this machine cannot do that.

    Args:
        source: the directory.
        target: where the command sees it; the parent must exist.
        old: an empty directory, or a path for one, where the command sees the machine's own parent of it.
        command: what sees it.
    """
    unshare = _unshare(str(target.parent))
    return (
        [*unshare, "sh", "-c", _MOUNT, "sh", str(source), str(target), str(old), *command]
        if unshare
        else None
    )


@cache
def _unshare(parent: str) -> tuple[str, ...] | None:
    """Find how this machine makes a mount namespace, by trying."""
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    attempt = ["unshare", flags, "mount", "-t", "tmpfs", "tmpfs", parent]
    try:
        works = subprocess.run(attempt, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return None
    return ("unshare", flags) if works else None

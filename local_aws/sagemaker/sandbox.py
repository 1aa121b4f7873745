"""Shows a directory as /opt/ml to a script that has that path written into it.

With mount namespaces (as root, or as a user where the kernel allows it) the script sees the very path. Where
there are none, the path is rewritten in its command and environment instead, and the variable
LOCAL_AWS_ML_ROOT tells scripts that care.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ML_ROOT = "/opt/ml"
ROOT_VARIABLE = "LOCAL_AWS_ML_ROOT"

# Hides /opt under a fresh one, links everything that was there back in, and adds ours: nothing is made on
# the machine's own disk.
_MOUNT = """
set -e
ml=$1 old=$2; shift 2
mkdir -p "$old"
mount --rbind /opt "$old"
mount -t tmpfs tmpfs /opt
for entry in "$old"/*; do
    name=/opt/${entry##*/}
    if [ "$name" = /opt/ml ]; then continue; fi
    if [ -d "$entry" ]; then mkdir "$name"; mount --rbind "$entry" "$name"
    elif [ -e "$entry" ]; then : > "$name"; mount --bind "$entry" "$name"
    fi
done
mkdir /opt/ml
mount --rbind "$ml" /opt/ml
exec "$@"
"""


@dataclass(frozen=True)
class Sandboxed:
    """A command and its environment, as they must be started for the path to be right."""

    command: list[str]
    environment: dict[str, str]


def sandboxed(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> Sandboxed:
    """Make a command see `root`/opt/ml at /opt/ml."""
    ml = f"{root}{ML_ROOT}"
    unshare = _unshare()
    if unshare:
        mount = ["sh", "-c", _MOUNT, "sh", ml, f"{root}/opt-of-the-machine"]
        return Sandboxed([*unshare, *mount, *command], dict(environment) | {ROOT_VARIABLE: ML_ROOT})
    rewritten = {name: value.replace(ML_ROOT, ml) for name, value in environment.items()}
    return Sandboxed([part.replace(ML_ROOT, ml) for part in command], rewritten | {ROOT_VARIABLE: ml})


@cache
def _unshare() -> tuple[str, ...] | None:
    """Find how this machine makes a mount namespace, by trying."""
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    attempt = ["unshare", flags, "sh", "-c", "mount -t tmpfs tmpfs /opt && mkdir /opt/ml"]
    try:
        works = subprocess.run(attempt, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return None
    return ("unshare", flags) if works else None

"""Shows a directory as /opt/ml to a script that has that path written into it.

With mount namespaces (as root, or as a user where the kernel allows it) the script sees the very path. Where
there are none, the path is rewritten in its command and environment instead, and the variable
LOCAL_AWS_ML_ROOT tells scripts that care.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_aws.mounts import mounted

ML_ROOT = "/opt/ml"
ROOT_VARIABLE = "LOCAL_AWS_ML_ROOT"


@dataclass(frozen=True)
class Sandboxed:
    """A command and its environment, as they must be started for the path to be right."""

    command: list[str]
    environment: dict[str, str]


def sandboxed(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> Sandboxed:
    """Make a command see `root`/opt/ml at /opt/ml."""
    ml = f"{root}{ML_ROOT}"
    seen = mounted(Path(ml), Path(ML_ROOT), root / "opt-of-the-machine", command)
    if seen:
        return Sandboxed(seen, dict(environment) | {ROOT_VARIABLE: ML_ROOT})
    rewritten = {name: value.replace(ML_ROOT, ml) for name, value in environment.items()}
    return Sandboxed([part.replace(ML_ROOT, ml) for part in command], rewritten | {ROOT_VARIABLE: ml})

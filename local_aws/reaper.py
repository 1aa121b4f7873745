"""Ends what a server left running when it was killed: a helper that outlives it by a moment."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TextIO, cast

# Runs as its own program, so that it needs nothing of ours. Its input ends when the server does, however
# that came about; what is then still on its list is killed.
_PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class Reaper:
    """Kills the process groups it watches as soon as this process is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        self._list = cast("TextIO", self._process.stdin)

    def watch(self, group: int) -> None:
        """Put a process group on the list."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Take a process group off the list."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Let the helper end."""
        with self._lock:
            self._list.close()
            self._process.wait()

    def _tell(self, line: str) -> None:
        with self._lock:
            self._list.write(line)
            self._list.flush()

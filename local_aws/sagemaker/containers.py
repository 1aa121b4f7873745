"""Runs what the cloud runs in a container: a process group of its own, watched to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

from local_aws.reaper import Reaper

PROJECT = Path(__file__).resolve().parents[2]
STOP_GRACE_S = 10.0


class Container:
    """A process with all its children, its output read line by line."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        on_line: Callable[[str], None],
        reaper: Reaper,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.exited = threading.Event()
        self.exit_code = -1
        self._reaper = reaper
        self._process = subprocess.Popen(
            command,
            env=_base_environment() | dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=descriptors,
            text=True,
            errors="replace",
        )
        reaper.watch(self._process.pid)
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, name=f"container {self._process.pid}", daemon=True).start()

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """End the whole process group: ask it, and after the grace do not ask."""
        if not self.exited.is_set():
            self._signal(signal.SIGTERM)
            if not self.exited.wait(grace_s):
                self._signal(signal.SIGKILL)
                self.exited.wait()

    def _wait(self) -> None:
        exit_code = self._process.wait()
        self._signal(signal.SIGKILL)  # children that outlive their parent hold its output open
        self._reader.join()
        self._reaper.forget(self._process.pid)
        self.exit_code = exit_code
        self.exited.set()

    def _read(self, on_line: Callable[[str], None]) -> None:
        with cast("TextIO", self._process.stdout) as lines:
            for line in lines:
                on_line(line.rstrip("\n"))

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _base_environment() -> dict[str, str]:
    """Give a container what it needs of ours: the interpreter under the name python3, and this package."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    kept = {
        name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ
    }
    return kept | {
        "PATH": path,
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        # A thread that has nothing to do must not spin on a core that other containers want.
        "OMP_WAIT_POLICY": "PASSIVE",
    }

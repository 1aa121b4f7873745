"""Airflow's processes of one environment, each in a process group of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import urllib3

from local_aws.reaper import Reaper

SCHEDULER, WEBSERVER = "scheduler", "webserver"
PARTS = {
    "scheduler": SCHEDULER,
    "dag-processor": SCHEDULER,
    "triggerer": SCHEDULER,
    "api-server": WEBSERVER,
}
"""What runs, and in which container."""
_MIGRATION_LIMIT_S = 300
_HEALTHY_LIMIT_S = 300
_STOP_LIMIT_S = 15
_LOOK_S = 0.3
log = logging.getLogger(__name__)


class AirflowDownError(Exception):
    """Airflow did not come up; the message says where its log is."""


@dataclass(frozen=True)
class _Process:
    popen: subprocess.Popen[bytes]
    log: BinaryIO


class AirflowProcesses:
    """Scheduler, DAG processor, triggerer and API server.

    Args:
        logs: folder of their logs.
        url: where the API server answers.
        environments: what each container's processes see.
        home: the folder they run in.
        reaper: ends them should this server be killed.
    """

    def __init__(
        self, logs: Path, url: str, environments: Mapping[str, Mapping[str, str]], home: Path, reaper: Reaper
    ) -> None:
        self._logs = logs
        self._url = url
        self._environments = environments
        self._home = home
        self._reaper = reaper
        self._lock = threading.Lock()
        self._running: dict[str, _Process] = {}
        self._stopped = False

    def start(self) -> None:
        """Bring the metadata database up to date, start everything and wait until all of it is healthy.

        Raises:
            AirflowDownError: it does not come up, or is stopped before it has.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        self._launch("migrate-db", SCHEDULER, ["db", "migrate"])
        deadline = time.monotonic() + _MIGRATION_LIMIT_S
        while self._code("migrate-db") is None:
            self._wait(deadline, "the metadata database")
        if self._code("migrate-db"):
            raise AirflowDownError(
                f"The metadata database was not prepared: see {self._logs / 'migrate-db.log'}"
            )
        self._forget("migrate-db")
        for part, container in PARTS.items():
            self._launch(part, container, [part])
        deadline = time.monotonic() + _HEALTHY_LIMIT_S
        while sick := self._unhealthy():
            self._refuse_ended()
            self._wait(deadline, ", ".join(sick))
        self._refuse_ended()  # what answers may be somebody else's, on a port that ours did not get

    def revive(self) -> None:
        """Start anew what has ended by itself, as the cloud does with a container."""
        for part, container in PARTS.items():
            code = self._code(part)
            if code is not None:
                log.warning("Airflow's %s ended with %s and is started anew", part, code)
                self._forget(part)
                self._launch(part, container, [part])

    def stop(self) -> None:
        """End everything; what has not ended in time is killed, and so is what it left behind."""
        with self._lock:
            self._stopped = True
            running = dict(self._running)
            for process in running.values():
                process.popen.terminate()
        deadline = time.monotonic() + _STOP_LIMIT_S
        for name, process in running.items():
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, deadline - time.monotonic()))
            self._forget(name)

    def _launch(self, name: str, container: str, arguments: list[str]) -> None:
        with self._lock:
            if self._stopped:
                return
            output = (self._logs / f"{name}.log").open("ab")
            popen = subprocess.Popen(
                [str(airflow_command()), *arguments],
                env=self._environments[container],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            self._reaper.watch(popen.pid)
            self._running[name] = _Process(popen, output)

    def _refuse_ended(self) -> None:
        for part in PARTS:
            if self._code(part) is not None:
                raise AirflowDownError(f"Airflow's {part} ended: see {self._logs / part}.log")

    def _forget(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return  # whoever stops everything was first
        with suppress(ProcessLookupError):
            os.killpg(process.popen.pid, signal.SIGKILL)
        process.popen.wait()
        self._reaper.forget(process.popen.pid)
        process.log.close()

    def _code(self, name: str) -> int | None:
        process = self._running.get(name)
        return process.popen.poll() if process else None

    def _wait(self, deadline: float, what: str) -> None:
        if self._stopped:
            raise AirflowDownError("Airflow was stopped while it started")
        if time.monotonic() > deadline:
            raise AirflowDownError(f"Waited in vain for {what}: see {self._logs}")
        time.sleep(_LOOK_S)

    def _unhealthy(self) -> list[str]:
        try:
            answer = urllib3.request("GET", f"{self._url}/api/v2/monitor/health", timeout=10, retries=False)
            health = json.loads(answer.data)
        except (urllib3.exceptions.HTTPError, ValueError):
            return ["api-server"]
        return [part for part, state in health.items() if state.get("status") != "healthy"]


def airflow_command() -> Path:
    """Return the command of the Airflow beside this interpreter.

    Raises:
        AirflowDownError: there is none.
    """
    command = Path(sys.executable).with_name("airflow")
    if not command.exists():
        raise AirflowDownError(f"There is no Airflow beside {sys.executable}: install it there")
    return command


def free_port(wanted: int = 0) -> int:
    """Return `wanted` if nothing listens there, else a port that the system chooses."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        return int(probe.getsockname()[1])

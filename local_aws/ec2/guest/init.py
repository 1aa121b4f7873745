"""The first process of an instance: starts its script, reaps orphans, holds timers, ends it all.

It is the one process that no signal from inside can end; so what it holds, `kill -9 -1` cannot undo.
"""

from __future__ import annotations

import heapq
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from local_aws.ec2.guest.calls import SOCKET

_CONTROL = sys.__stdin__.fileno() if sys.__stdin__ else 0
_LONGEST_REQUEST = 1 << 20
_NICENESS = 10
_REQUEST_LIMIT_S = 1.0  # a guest that connects and says nothing holds up its own timers no longer


class Init:
    """An instance's services, timers and power."""

    def __init__(self, environment: dict[str, str], stop_timeout_s: float) -> None:
        self._environment = environment
        self._stop_timeout_s = stop_timeout_s
        self._booted_at = time.monotonic()
        self._units: dict[int, str] = {}
        self._timers: list[tuple[float, int, str, Callable[[], None]]] = []
        self._numbers = iter(range(1 << 62))
        self._stopping_to: str | None = None
        self._off = False
        self._exit = False
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(SOCKET)
        self._listener.listen(64)
        self._woken, wake = os.pipe()
        for descriptor in (self._woken, wake):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGINT):  # Python would end at the second
            signal.signal(number, lambda *_: None)
        self._selector.register(self._listener, selectors.EVENT_READ, self._answer)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        self._selector.register(_CONTROL, selectors.EVENT_READ, self._obey)

    def say(self, text: str) -> None:
        """Put a line of the init's own onto the console."""
        with suppress(OSError):  # who read the console is gone, and so are we, soon
            os.write(1, f"[{time.monotonic() - self._booted_at:10.3f}] init: {text}\n".encode())

    def start(
        self,
        unit: str,
        command: list[str],
        environment: dict[str, str] | None = None,
        directory: str = "/",
    ) -> None:
        """Start a service."""
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env=self._environment | (environment or {}),
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            self.say(f"{unit} could not be started: {error}")
            return
        with suppress(ProcessLookupError):  # the machine below has work of its own
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        process.returncode = 0  # it is reaped here with all the others, not by this object
        self._units[process.pid] = unit

    def run(self) -> int:
        """Serve until the instance is off, and give the exit status."""
        while not self._exit:
            for key, _ in self._selector.select(self._wait_s()):
                key.data()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[3]()
            self._see_whether_all_ended()
        return 0

    def _wait_s(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _after(self, seconds: float, name: str, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), name, action))

    def _forget_timers(self, names: list[str]) -> None:
        self._timers = [timer for timer in self._timers if timer[2] not in names]
        heapq.heapify(self._timers)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        while (pid := self._next_dead()) is not None:
            dead, status = pid
            unit = self._units.pop(dead, None)
            if unit:
                self.say(f"{unit} ended with status {os.waitstatus_to_exitcode(status)}")

    def _next_dead(self) -> tuple[int, int] | None:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        return (pid, status) if pid else None

    def _obey(self) -> None:
        """Follow a command of the machine below: an empty one means that it is gone."""
        commands = os.read(_CONTROL, 4096).decode()
        if not commands:
            os._exit(1)
        for command in commands.split():
            if command == "poweroff":
                self._power("poweroff")
            elif command == "reboot":
                self._power("reboot")

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(_REQUEST_LIMIT_S)
            try:
                with connection.makefile("rb") as lines:
                    request = json.loads(lines.readline(_LONGEST_REQUEST))
                answer = self._do(request)
            except (OSError, ValueError, KeyError, TypeError) as error:
                answer = {"refused": f"not understood: {error}"}
            with suppress(OSError):  # the caller may have been killed meanwhile
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["action"]:
            case "power":
                if request["at_once"]:
                    self._stop_timeout_s = 0
                self._power(request["what"])
            case "schedule":
                self._forget_timers(["shutdown"])
                what = request["what"]
                self._after(float(request["after_s"]), "shutdown", lambda: self._power(what))
            case "cancel":
                self._forget_timers(["shutdown"])
            case "run":
                return self._run_unit(request)
            case "stop":
                self._stop_units(request["names"])
            case "active":
                return {"active": [self._is_active(name) for name in request["names"]]}
        return {}

    def _run_unit(self, request: dict[str, Any]) -> dict[str, Any]:
        unit, after_s = request["unit"], request["after_s"]
        kind = "service" if after_s is None else "timer"
        if self._stopping_to:
            return {"refused": f"Failed to start transient {kind} unit: the system is shutting down."}
        if self._is_active(f"{unit}.timer") or self._is_active(f"{unit}.service"):
            known = f"Unit {unit}.{kind} was already loaded or has a fragment file."
            return {"refused": f"Failed to start transient {kind} unit: {known}"}

        def begin() -> None:
            self.start(f"{unit}.service", request["command"], request["environment"], request["directory"])

        if after_s is None:
            begin()
        else:
            self._after(float(after_s), f"{unit}.timer", begin)
        return {}

    def _is_active(self, name: str) -> bool:
        full = name if name.endswith((".timer", ".service")) else f"{name}.service"
        return full in self._units.values() or any(timer[2] == full for timer in self._timers)

    def _stop_units(self, names: list[str]) -> None:
        full = [name if name.endswith((".timer", ".service")) else f"{name}.service" for name in names]
        self._forget_timers(full)
        for pid, unit in self._units.items():
            if unit in full:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGTERM)

    def _power(self, to: str) -> None:
        """Begin to end everything; a power-off that comes meanwhile, or afterwards, is not lost."""
        if self._stopping_to is None:
            self.say(f"{to}: every process is asked to end")
            self._timers = []
            self._stopping_to = to
            self._signal_all(signal.SIGTERM)
            self._signal_all(signal.SIGCONT)
            self._after(self._stop_timeout_s, "kill", self._kill_all)
        elif to == "poweroff":
            self._stopping_to = to
        if self._stop_timeout_s == 0:
            self._kill_all()

    def _kill_all(self) -> None:
        self.say("what did not end is killed")
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(-1, number)

    def _see_whether_all_ended(self) -> None:
        """Go off when the last process has ended; halted or rebooted, nothing runs but this."""
        if self._stopping_to is None or not self._is_alone():
            return
        if not self._off:
            self._off = True
            self._timers = []
            self.say(
                {"poweroff": "power down", "halt": "system halted", "reboot": "restarted"}[self._stopping_to]
            )
        self._exit = self._stopping_to == "poweroff"

    def _is_alone(self) -> bool:
        self._reap()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        return False

"""The states of instances, and the machines that some of them are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.clients import Clients
from local_aws.ec2 import machine
from local_aws.ec2.console import Console
from local_aws.ec2.machine import Machine, NoNamespacesError, Script
from local_aws.reaper import Reaper
from local_aws.snapshot import Snapshot

_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
_CONSOLE = "_local_aws_console"
_ENDS = {"shutting-down": "terminated", "stopping": "stopped"}


@dataclass(frozen=True)
class Reason:
    """Why an instance is in its state, as DescribeInstances tells it."""

    code: str
    text: str


BY_CALLER = Reason("Client.UserInitiatedShutdown", "User initiated shutdown")
BY_ITSELF = Reason("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
_NOT_BOOTED = Reason("Client.InternalError", "Client error on launch")
_CUT_OFF = Reason("Server.InternalError", "The embedded AWS was stopped while the instance ran")


class Instances:
    """Takes moto's instances through their states; one change at a time, whoever wants it."""

    def __init__(self, state_dir: Path, clients: Clients, snapshot: Snapshot) -> None:
        self._state_dir = state_dir
        self._clients = clients
        self._snapshot = snapshot
        self._turn = threading.RLock()
        self._machines: dict[str, Machine] = {}
        self._reaper: Reaper | None = None
        self._is_checked = False
        self._refusal = ""
        self._closed = False

    @contextmanager
    def turn(self, *, changes: bool) -> Iterator[None]:
        """Have instances to oneself; what changes them is saved afterwards."""
        if not changes:
            with self._turn:
                yield
            return
        with self._snapshot.change(), self._turn:
            yield

    def check(self) -> None:
        """Fail where no instance can run a script; found out once."""
        if not self._is_checked:
            try:
                machine.check(self._state_dir)
            except NoNamespacesError as error:
                self._refusal = str(error)
            self._is_checked = True
        if self._refusal:
            raise NoNamespacesError(self._refusal)

    def begin(self, instance: Any) -> None:
        """Boot an instance that was just made."""
        enter(instance, "pending")
        text = script_of(instance)
        if text is None:
            self._later(lambda: self._is_up(instance))
            return
        console = Console()
        setattr(instance, _CONSOLE, console)
        self._reaper = self._reaper or Reaper()
        script = Script(
            text,
            instance.private_dns_name.split(".")[0],
            self._clients.environment(instance.ec2_backend.region_name),
        )
        self._machines[instance.id] = Machine(
            script,
            self._state_dir,
            self._reaper,
            console,
            on_up=lambda: self._change(lambda: self._is_up(instance)),
            on_end=lambda was_up: self._change(lambda: self._has_ended(instance, was_up)),
        )

    def end(self, instance: Any, to: str) -> None:
        """Press the power button of an instance that is to be terminated or stopped."""
        passing = next(name for name, final in _ENDS.items() if final == to)
        enter(instance, passing, BY_CALLER)
        running = self._machines.get(instance.id)
        if running:
            running.power_off()
        else:
            self._later(lambda: _finish(instance))

    def start(self, instance: Any) -> None:
        """Start a stopped instance: nothing runs anew."""
        instance.launch_time = datetime.now(UTC).replace(tzinfo=None)
        enter(instance, "pending")
        self._later(lambda: self._is_up(instance))

    def reboot(self, instance: Any) -> None:
        """End what an instance runs; nothing runs anew."""
        running = self._machines.get(instance.id)
        if running:
            running.reboot()

    def settle(self, instances: list[Any]) -> None:
        """End the instances that ran when this server's predecessor was stopped."""
        with self.turn(changes=True):
            for instance in instances:
                if instance.state in _ENDS:
                    _finish(instance)
                elif instance.state in ("pending", "running"):
                    _end_now(instance, _CUT_OFF)

    def close(self) -> None:
        """End every machine at once; the next server tells what became of the instances."""
        with self._turn:
            self._closed = True
            running = list(self._machines.values())
        for one in running:
            one.kill()
        if self._reaper:
            self._reaper.close()

    def _change(self, action: Callable[[], None]) -> None:
        with self.turn(changes=True):
            if not self._closed:
                action()

    def _later(self, action: Callable[[], None]) -> None:
        """Do what follows once the request that called for it is answered."""
        threading.Thread(target=self._change, args=(action,), name="instance", daemon=True).start()

    def _is_up(self, instance: Any) -> None:
        if instance.state == "pending":
            enter(instance, "running")

    def _has_ended(self, instance: Any, was_up: bool) -> None:
        del self._machines[instance.id]
        if instance.state in _ENDS:
            _finish(instance)
        elif was_up:
            _end_now(instance, BY_ITSELF)
        else:
            enter(instance, "shutting-down", _NOT_BOOTED)
            _finish(instance)


def enter(instance: Any, state: str, reason: Reason | None = None) -> None:
    """Put an instance into a state, and say why."""
    instance._state.name, instance._state.code = state, _CODES[state]
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S GMT")
    instance._reason = f"User initiated ({moment})" if reason else ""
    instance.state_reason.code = reason.code if reason else ""
    instance.state_reason.message = f"{reason.code}: {reason.text}" if reason else ""


def script_of(instance: Any) -> str | None:
    """Give the script that an instance was launched with, if it is one."""
    return script_in(instance.user_data)


def script_in(user_data: Any) -> str | None:
    """Read user data that is a script; anything else is not run."""
    if not user_data:
        return None
    try:
        text: str = user_data.decode()
    except UnicodeDecodeError:
        return None
    return text if text.startswith("#!") else None


def console_of(instance: Any) -> Console:
    """Give what an instance said."""
    return getattr(instance, _CONSOLE, None) or Console()


def _end_now(instance: Any, reason: Reason) -> None:
    behaviour = instance.instance_initiated_shutdown_behavior
    enter(instance, "shutting-down" if behaviour == "terminate" else "stopping", reason)
    _finish(instance)


def _finish(instance: Any) -> None:
    """Let go of what an ended instance held; moto does that, and forgets why it ended."""
    final = _ENDS[instance.state]
    reason, code, message = instance._reason, instance.state_reason.code, instance.state_reason.message
    release = instance.release_terminated if final == "terminated" else instance.release_stopped
    release()
    instance._state.name, instance._state.code = final, _CODES[final]
    instance._reason, instance.state_reason.code, instance.state_reason.message = reason, code, message

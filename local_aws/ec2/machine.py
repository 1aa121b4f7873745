"""One running instance, seen from this machine: its namespaces, its script, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

from local_aws.ec2.console import Console
from local_aws.ec2.guest.boot import Orders
from local_aws.ec2.guest.root import STAND_INS
from local_aws.ec2.view import interpreter, view
from local_aws.reaper import Reaper

_UNSHARE = (
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--uts",
    "--ipc",
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT = ("LANG", "LD_LIBRARY_PATH")
_STOP_TIMEOUT = "LOCAL_AWS_INSTANCE_STOP_TIMEOUT_S"
_DEFAULT_STOP_TIMEOUT_S = 10.0  # a system in the cloud gives 90
_PROBE_LIMIT_S = 30.0
_SLACK_S = 2.0  # beyond the time to stop, for an init that its guest holds up
_HOW_TO = (
    "An instance runs its script as root of user, mount and PID namespaces of its own. To allow them:"
    " on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`,"
    " on older Debian `sysctl kernel.unprivileged_userns_clone=1`,"
    " in Docker `--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    " --security-opt systempaths=unconfined`; macOS has none."
)


class NoNamespacesError(Exception):
    """This machine does not let an instance run, and why."""


@dataclass(frozen=True)
class Script:
    """What an instance runs, under which name and in which environment."""

    text: str
    host_name: str
    environment: Mapping[str, str]


class Machine:
    """A process that is the first of namespaces of its own; its end is the end of all in them."""

    def __init__(
        self,
        script: Script,
        state_dir: Path,
        reaper: Reaper,
        console: Console,
        on_up: Callable[[], None],
        on_end: Callable[[bool], None],
    ) -> None:
        self.console = console
        self.ended = threading.Event()
        self._reaper = reaper
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(dir=state_dir / "work", prefix="instance-")
        status, writes_status = os.pipe()
        orders = _orders(script, state_dir, self._folder.name, writes_status)
        self._killer = threading.Timer(orders.stop_timeout_s + _SLACK_S, self._kill_group)
        self._killer.daemon = True
        self._process = _begin(orders, [writes_status])
        os.close(writes_status)
        reaper.watch(self._process.pid)
        follow = threading.Thread(
            target=self._follow, args=(status, on_up, on_end), name=f"machine {script.host_name}", daemon=True
        )
        follow.start()

    def power_off(self) -> None:
        """Ask the init to end everything, as the button of a machine does."""
        self._tell("poweroff\n")
        with self._lock:
            if not self._killer.ident:
                self._killer.start()

    def reboot(self) -> None:
        """Ask the init to end everything and go on with nothing."""
        self._tell("reboot\n")

    def kill(self) -> None:
        """End it at once, and wait for that."""
        self._kill_group()
        self.ended.wait()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _tell(self, command: str) -> None:
        with self._lock, suppress(BrokenPipeError):  # it may be gone already: then there is nothing to end
            commands = cast("BinaryIO", self._process.stdin)
            commands.write(command.encode())
            commands.flush()

    def _follow(self, status: int, on_up: Callable[[], None], on_end: Callable[[bool], None]) -> None:
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        with os.fdopen(status, "rb") as line:
            is_up = bool(line.readline())
        if is_up:
            on_up()
        self._process.wait()
        self._killer.cancel()
        self._kill_group()
        reader.join()
        self._reaper.forget(self._process.pid)
        self._folder.cleanup()
        on_end(is_up)
        self.ended.set()

    def _read(self) -> None:
        output = cast("BinaryIO", self._process.stdout)
        while data := output.read1(65_536):  # type: ignore[attr-defined]
            self.console.write(data)


def check(state_dir: Path) -> None:
    """Find out by trying whether this machine lets an instance run."""
    with tempfile.TemporaryDirectory(dir=state_dir / "work", prefix="probe-") as folder:
        orders = _orders(Script("", "probe", {}), state_dir, folder, -1, is_probe=True)
        try:
            process = _begin(orders, [])
        except FileNotFoundError as error:
            raise NoNamespacesError(f"There is no program `unshare` here. {_HOW_TO}") from error
        said, _ = process.communicate(timeout=_PROBE_LIMIT_S)
    if process.returncode != 0:
        lines = said.decode(errors="replace").strip().splitlines()
        raise NoNamespacesError(
            f"This machine refuses it: {lines[-1] if lines else 'unshare failed'}. {_HOW_TO}"
        )


def _orders(
    script: Script, state_dir: Path, folder: str, status_fd: int, *, is_probe: bool = False
) -> Orders:
    seen = view(state_dir)
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    programs = os.path.dirname(interpreter()[0])
    return Orders(
        mount_point=folder,
        shown=seen.shown,
        hidden=seen.hidden,
        links=seen.links,
        stand_in=interpreter(),
        environment={
            **environment,
            "HOME": "/root",
            "PATH": f"{STAND_INS}:{programs}:{_PATH}",
            "PYTHONDONTWRITEBYTECODE": "1",
            **script.environment,
        },
        host_name=script.host_name,
        script=None if is_probe else script.text,
        status_fd=status_fd,
        stop_timeout_s=float(os.environ.get(_STOP_TIMEOUT, _DEFAULT_STOP_TIMEOUT_S)),
    )


def _begin(orders: Orders, passed: list[int]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*_UNSHARE, *interpreter(), "boot"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: os.environ[name] for name in ("PATH", *_KEPT) if name in os.environ},
        cwd="/",
        pass_fds=passed,
        start_new_session=True,
    )
    with suppress(BrokenPipeError):  # it ended at once, and will say why
        commands = cast("BinaryIO", process.stdin)
        commands.write(json.dumps(asdict(orders)).encode() + b"\n")
        commands.flush()
    return process

"""Boot an instance: the first process of its namespaces builds what it sees, locks it, becomes its init.

The first line of its input says how, as JSON; what follows are the commands to the init.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from local_aws.ec2.guest import kernel, root

_SCRIPT = "/var/lib/cloud/instance/user-data.sh"


@dataclass(frozen=True)
class Orders:
    """How an instance is to be."""

    mount_point: str
    shown: list[str]
    hidden: list[str]
    links: dict[str, str]
    stand_in: list[str]
    environment: dict[str, str]
    host_name: str
    script: str | None
    status_fd: int
    stop_timeout_s: float


def main() -> int:
    """Boot, and be the init; without a script only find out whether all this is possible."""
    orders = Orders(**json.loads(_read_line(sys.stdin.fileno())))
    kernel.die_with_parent(signal.SIGKILL)
    os.umask(0o022)
    socket.sethostname(orders.host_name)
    root.enter(orders.mount_point, orders.shown, orders.hidden, orders.links)
    root.put_stand_ins(orders.stand_in)
    kernel.lock_mounts()
    if orders.script is None:
        return 0
    os.makedirs(os.path.dirname(_SCRIPT), exist_ok=True)
    with open(_SCRIPT, "w") as file:
        file.write(orders.script)
    os.chmod(_SCRIPT, 0o700)
    from local_aws.ec2.guest.init import Init

    init = Init(orders.environment, orders.stop_timeout_s)
    init.say(f"{orders.host_name} is up")
    os.write(orders.status_fd, b"up\n")
    os.close(orders.status_fd)
    init.start("user-data", [_SCRIPT])
    return init.run()


def _read_line(descriptor: int) -> bytes:
    """Read up to a line's end and not a byte further: the rest is the init's."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte: Any = os.read(descriptor, 1)
        if not byte:
            raise EOFError("no orders were given")
        line += byte
    return bytes(line)

"""How an instance's commands ask its init."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

SOCKET = "/run/init.sock"


class RefusedError(Exception):
    """What the init would not do."""


def ask(action: str, **details: Any) -> dict[str, Any]:
    """Have the init do something, and give its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        connection.sendall(json.dumps({"action": action, **details}).encode() + b"\n")
        with connection.makefile() as lines:
            answer: dict[str, Any] = json.loads(lines.readline())
    if "refused" in answer:
        raise RefusedError(answer["refused"])
    return answer


def complain(text: object) -> int:
    """Say what is wrong, and give the exit status for that."""
    print(text, file=sys.stderr)
    return 1

"""What a container's process touches: files, and addresses other than its own machine's."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Watch:
    """Notes what is opened from now on, and refuses to leave the machine.

    Args:
        forbidden: folder from which nothing may be read.
        exempt: folder inside it from which everything may.
    """

    def __init__(self, forbidden: str, exempt: str) -> None:
        self._forbidden = forbidden.rstrip("/") + "/"
        self._exempt = exempt.rstrip("/") + "/"
        self._writable = (os.environ["AIRFLOW_HOME"] + "/", "/tmp/", "/dev/")  # noqa: S108 - it may be used
        self.strangers: set[str] = set()
        self.written: set[str] = set()
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            path = os.path.abspath(arguments[0])
            if path.startswith(self._forbidden) and not path.startswith(self._exempt):
                self.strangers.add(path)
            if arguments[2] & _WRITES and not path.startswith(self._writable):
                self.written.add(path)
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            _refuse_strangers(arguments[1][0])

    def report(self) -> dict[str, Any]:
        """Return what was noted, and which modules of plugins/ go by a name that is not theirs."""
        plugins = Path(os.environ["AIRFLOW_HOME"]) / "plugins"
        misnamed = {}
        for name, module in list(sys.modules.items()):
            file = Path(getattr(module, "__file__", None) or "/")
            if file.is_relative_to(plugins):
                own = ".".join(file.relative_to(plugins).with_suffix("").parts).removesuffix(".__init__")
                if own != name:
                    misnamed[name] = own
        return {
            "misnamed": misnamed,
            "strangers": sorted(self.strangers),
            "written": sorted(self.written),
            "seconds": round(time.process_time(), 1),
        }


def _refuse_strangers(host: str) -> None:
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise PermissionError(f"a container of the test wants to reach {host}")


def tell(report: dict[str, Any]) -> None:
    """Give a report to the test."""
    Path(sys.argv[1]).write_text(json.dumps(report))


def plugin_report() -> dict[str, Any]:
    """Let Airflow find the plugins, and return what it found."""
    from airflow import plugins_manager

    plugins, errors = plugins_manager._get_plugins()
    own = [
        p.name for p in plugins if str(getattr(p.source, "path", "")) or "PluginsDirectory" in str(p.source)
    ]
    return {"plugins": own, "plugin_errors": errors}

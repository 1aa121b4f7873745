"""MariaDB, the laptop's own server."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from local_stack.private_server import PrivateServer, fetch


@dataclass(frozen=True)
class MariaDB(PrivateServer):
    """Describes a private MariaDB."""

    kind = "MariaDB"
    default_options = {"innodb-log-file-size": "256M"}

    def environment(self) -> dict[str, str]:
        """Return where the server finds its libraries."""
        tree = _tree()
        if not tree:
            return {}
        triplet = f"{platform.machine()}-linux-gnu"
        # Debian 12 keeps some of them in /lib, and a private tree does not merge the two.
        return {"LD_LIBRARY_PATH": f"{tree}/usr/lib/{triplet}:{tree}/lib/{triplet}"}

    def _program(self) -> list[str]:
        tree = _tree()
        return [
            f"{tree}/usr/sbin/mariadbd",
            "--no-defaults",
            f"--basedir={tree}/usr",
            f"--lc-messages-dir={tree}/usr/share/mysql",
            f"--character-sets-dir={tree}/usr/share/mysql/charsets",
            f"--plugin-dir={tree}/usr/lib/mysql/plugin",
        ]

    def _creation(self, data: Path) -> list[str]:
        tree = _tree()
        return [
            f"{tree}/usr/bin/mariadb-install-db",
            "--no-defaults",
            f"--basedir={tree}/usr",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]


def _tree() -> str:
    """Return the folder that holds `usr/sbin/mariadbd`, fetching it if need be; empty for the root."""
    return fetch("fetch_mariadb.sh").rstrip("/")

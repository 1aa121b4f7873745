"""MySQL itself, for the tests: the cloud's database is of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local_stack.private_server import PrivateServer, fetch


@dataclass(frozen=True)
class MySQL(PrivateServer):
    """Describes a private MySQL."""

    kind = "MySQL"
    default_options = {"mysqlx": "OFF"}

    def environment(self) -> dict[str, str]:
        """Return nothing: its program brings its own libraries."""
        return {}

    def _program(self) -> list[str]:
        program = Path(fetch("fetch_mysql.sh"))
        tree = program.parent / "tree"
        return [
            str(program),
            "--no-defaults",
            f"--basedir={tree}/usr",
            f"--lc-messages-dir={tree}/usr/share/mysql",
            f"--character-sets-dir={tree}/usr/share/mysql/charsets",
            f"--plugin-dir={tree}/usr/lib/mysql/plugin",
            "--secure-file-priv=NULL",
        ]

    def _creation(self, data: Path) -> list[str]:
        return [*self._program(), f"--datadir={data}", "--initialize-insecure"]

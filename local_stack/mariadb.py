"""A private MariaDB server: its files under one folder, reachable on 127.0.0.1 only."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

from vigil.database import Database

PROJECT = Path(__file__).resolve().parents[1]
SCHEMA = "vigil"
USER = "vigil"
_START_LIMIT_S = 60
# MySQL's limit is 107; the socket is not used, but the server insists on one.
_SOCKET_PATH_LIMIT = 100


@dataclass(frozen=True)
class MariaDB:
    """Describes a private server.

    Attributes:
        folder: holds its data, log and password.
        port: TCP port on 127.0.0.1.
        options: further server options, as in `{"innodb-buffer-pool-size": "64M"}`.
    """

    folder: Path
    port: int
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        """Return how to log in; the password was made by `prepare`."""
        password = (self.folder / "password").read_text(encoding="ascii")
        return Database("127.0.0.1", self.port, USER, password, SCHEMA)

    def prepare(self) -> None:
        """Create the data folder, the user and the schema, unless they are there."""
        # A server that starts clears its folder of temporary tables, and must not share it with another.
        (self.folder / "scratch").mkdir(parents=True, exist_ok=True)
        password = self.folder / "password"
        if not password.exists():
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(24), encoding="ascii")
        if not (self.folder / "data" / "mysql").is_dir():
            tree = server_tree()
            _run_quietly(
                [
                    f"{tree}/usr/bin/mariadb-install-db",
                    "--no-defaults",
                    f"--basedir={tree}/usr",
                    f"--datadir={self.folder}/data",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--skip-name-resolve",
                    *_as_root(),
                ],
                server_environment(tree),
            )
        users = self.folder / "users.sql"
        users.touch(mode=0o600)
        # One statement a line: that is how the server reads the file.
        users.write_text(
            f"CREATE DATABASE IF NOT EXISTS {SCHEMA} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"
            f"CREATE OR REPLACE USER {USER}@'127.0.0.1' IDENTIFIED BY '{password.read_text('ascii')}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1';\n",
            encoding="ascii",
        )

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        tree = server_tree()
        options = {
            "innodb-buffer-pool-size": "512M",
            "innodb-log-file-size": "256M",
            "performance-schema": "OFF",
            **self.options,
        }
        return [
            f"{tree}/usr/sbin/mariadbd",
            "--no-defaults",
            f"--basedir={tree}/usr",
            f"--datadir={self.folder}/data",
            f"--tmpdir={self.folder}/scratch",
            f"--lc-messages-dir={tree}/usr/share/mysql",
            f"--character-sets-dir={tree}/usr/share/mysql/charsets",
            f"--plugin-dir={tree}/usr/lib/mysql/plugin",
            f"--socket={self._socket()}",
            f"--pid-file={self.folder}/mariadbd.pid",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--default-time-zone=+00:00",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_bin",
            f"--init-file={self.folder}/users.sql",
            *(f"--{name}={value}" for name, value in options.items()),
            *_as_root(),
        ]

    def _socket(self) -> Path:
        socket = self.folder / "mariadbd.sock"
        if len(str(socket)) < _SOCKET_PATH_LIMIT:
            return socket
        return Path(tempfile.mkdtemp(prefix="vigil-")) / "mariadbd.sock"

    def wait_until_ready(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until the server answers a query.

        Raises:
            TimeoutError: it does not, or `process` ended; the message names the log.
        """
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                self._ping()
            except pymysql.err.OperationalError as error:
                ended = process is not None and process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise TimeoutError(
                        f"MariaDB did not start ({error.args[-1]}): see {self.folder}"
                    ) from error
                time.sleep(0.05)
            else:
                return

    def _ping(self) -> None:
        login = self.database
        pymysql.connect(
            host=login.host,
            port=login.port,
            user=login.user,
            password=login.password,
            database=login.name,
            connect_timeout=2,
        ).close()


def server_tree() -> str:
    """Return the folder that holds `usr/sbin/mariadbd`, fetching it if need be; empty for the root."""
    script = PROJECT / "local_stack" / "fetch_mariadb.sh"
    found = subprocess.run(["bash", str(script)], check=True, stdout=subprocess.PIPE, text=True)
    return found.stdout.strip().rstrip("/")


def server_environment(tree: str) -> dict[str, str]:
    """Return the environment in which the server finds its libraries."""
    if not tree:
        return dict(os.environ)
    triplet = f"{platform.machine()}-linux-gnu"
    # Debian 12 keeps some of them in /lib, and a private tree does not merge the two.
    libraries = f"{tree}/usr/lib/{triplet}:{tree}/lib/{triplet}"
    return {**os.environ, "LD_LIBRARY_PATH": libraries}


def _as_root() -> list[str]:
    return ["--user=root"] if os.getuid() == 0 else []


def _run_quietly(command: Sequence[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")

"""A private database server: its files under one folder, reachable on 127.0.0.1 only."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pymysql

from local_aws.files import write_atomically
from vigil.database import Database

PROJECT = Path(__file__).resolve().parents[1]
SCHEMA = "vigil"
USER = "vigil"
_START_LIMIT_S = 60
# A new server lets root in from this machine without a password.
_WITHOUT_ROOT = "DROP USER IF EXISTS root@localhost, root@'127.0.0.1', root@'::1';\n"
# The limit is 107; the socket is not used, but the server insists on one.
_SOCKET_PATH_LIMIT = 100


@dataclass(frozen=True)
class PrivateServer(ABC):
    """Describes a private server.

    Attributes:
        folder: holds its data, log and password.
        port: TCP port on 127.0.0.1.
        options: further server options, as in `{"innodb-buffer-pool-size": "64M"}`.
    """

    folder: Path
    port: int
    options: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str]
    default_options: ClassVar[Mapping[str, str]]

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return the variables that its programs need beyond those of this process."""

    @abstractmethod
    def _program(self) -> list[str]:
        """Return the server's program, and where it finds its own files."""

    @abstractmethod
    def _creation(self, data: Path) -> list[str]:
        """Return the command that creates a data folder."""

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
            write_atomically(password, secrets.token_urlsafe(24).encode())
        if not (self.folder / "data").exists():
            self._create_data()
        users = self.folder / "users.sql"
        users.touch(mode=0o600)
        # One statement a line: that is how the server reads the file.
        users.write_text(
            f"{_WITHOUT_ROOT}"
            f"CREATE DATABASE IF NOT EXISTS {SCHEMA} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"
            f"CREATE USER IF NOT EXISTS {USER}@'127.0.0.1';\n"
            f"ALTER USER {USER}@'127.0.0.1' IDENTIFIED BY '{password.read_text('ascii')}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1' WITH GRANT OPTION;\n",
            encoding="ascii",
        )

    def _create_data(self) -> None:
        """Create the data folder whole, or, where that is interrupted, not at all."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _run_quietly([*self._creation(unfinished), *_as_root()], {**os.environ, **self.environment()})
        unfinished.rename(self.folder / "data")

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        options = {
            "innodb-buffer-pool-size": "512M",
            "performance-schema": "OFF",
            **self.default_options,
            **self.options,
        }
        return [
            *self._program(),
            f"--datadir={self.folder}/data",
            f"--tmpdir={self.folder}/scratch",
            f"--socket={self._socket()}",
            f"--pid-file={self.folder}/server.pid",
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
        socket = self.folder / "server.sock"
        if len(str(socket)) < _SOCKET_PATH_LIMIT:
            return socket
        return Path(tempfile.mkdtemp(prefix="vigil-")) / "server.sock"

    def start(self) -> subprocess.Popen[bytes]:
        """Run the server, its output in the file `log`, and wait until it answers.

        Raises:
            TimeoutError: it does not.
        """
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                self.command(), env={**os.environ, **self.environment()}, stdout=log, stderr=log
            )
        try:
            self.wait_until_ready(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

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
                        f"{self.kind} did not start ({error.args[-1]}): see {self.folder}"
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


def fetch(script: str) -> str:
    """Run a script of this folder that fetches a server, and return what it prints.

    Raises:
        RuntimeError: it cannot be had; the script has said why.
    """
    found = subprocess.run(
        ["bash", str(PROJECT / "local_stack" / script)], stdout=subprocess.PIPE, text=True, check=False
    )
    if found.returncode:
        raise RuntimeError(f"{script} fetched no server: what it says above tells why")
    return found.stdout.strip()


def _as_root() -> list[str]:
    return ["--user=root"] if os.getuid() == 0 else []


def _run_quietly(command: Sequence[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")

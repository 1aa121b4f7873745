"""The stack's processes, under supervisor (https://supervisord.org): started, watched, stopped, logged."""

from __future__ import annotations

import base64
import configparser
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from local_stack.stack import PROJECT, Stack

SERVICES = "services"
AIRFLOW = "airflow"
AIRFLOW_PARTS = ("api-server", "dag-processor", "scheduler", "triggerer")
_LOCAL_STACK = (sys.executable, "-m", "local_stack")
_ENDS_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "TERM")
_STOP_LIMIT_S = 60  # the groups' waits, one after the other, and some
_START_LIMIT_S = 20


@dataclass(frozen=True)
class Program:
    """One process that supervisor looks after.

    Attributes:
        group: programs of one group are started and stopped at once.
        name: unique in the stack.
        command: runs it in the foreground.
        environment: beyond what supervisor has itself.
        stop_wait_s: seconds between the polite signal and the last one.
    """

    group: str
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stop_wait_s: int = 15


class Processes:
    """Starts and stops the processes of a stack.

    Args:
        stack: whose processes they are.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._config = stack.folder / "supervisord.conf"
        self._pid_file = stack.folder / "supervisord.pid"

    def programs(self) -> list[Program]:
        """Return what the stack consists of."""
        stack = self._stack
        programs = [
            Program(
                SERVICES,
                "local-aws",
                [
                    *(sys.executable, "-m", "local_aws", "serve"),
                    *(
                        "--port",
                        str(stack.ports["local_aws"]),
                        "--state-dir",
                        str(stack.folder / "local_aws"),
                    ),
                ],
                {},
                stop_wait_s=30,
            ),
            # Each reads the stack's environment itself: no secret stands in supervisor's configuration.
            *(
                Program(
                    AIRFLOW,
                    f"airflow-{part}",
                    [*_LOCAL_STACK, "airflow", "--stack-folder", str(stack.folder), part],
                    {},
                )
                for part in AIRFLOW_PARTS
            ),
        ]
        if stack.uses_private_database:
            server = stack.mariadb
            programs.insert(
                0, Program(SERVICES, "database", server.command(), server.environment(), stop_wait_s=30)
            )
        return programs

    def start(self) -> None:
        """Start supervisor, unless it runs."""
        if self.running():
            return
        self._stack.logs.mkdir(parents=True, exist_ok=True)
        self._write_config()
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)],
            check=True,
            cwd=PROJECT,
            timeout=30,
        )
        deadline = time.monotonic() + _START_LIMIT_S
        while not self.running():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"The process runner did not start: see {self._stack.logs}/supervisord.log"
                )
            time.sleep(0.05)

    def start_group(self, group: str) -> None:
        """Start the programs of a group that do not run."""
        self._control().startProcessGroup(group, False)

    def stop(self) -> None:
        """Stop everything and wait until it is gone."""
        if not self.running():
            return
        pid = int(self._pid_file.read_text())
        self._control().shutdown()
        deadline = time.monotonic() + _STOP_LIMIT_S
        while _alive(pid):
            if time.monotonic() > deadline:
                raise TimeoutError(f"The stack did not stop in {_STOP_LIMIT_S} s: see {self._stack.logs}")
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        """Kill a program and its children without warning, as when a machine dies; it is started again.

        Args:
            name: of the program, which must run.
        """
        infos: Any = self._control().getAllProcessInfo()
        (pid,) = [int(info["pid"]) for info in infos if info["name"] == name]
        os.killpg(pid, signal.SIGKILL)

    def running(self) -> bool:
        """Tell whether supervisor answers."""
        try:
            self._control().getState()
        except (OSError, HTTPException, xmlrpc.client.Error):
            return False
        return True

    def states(self) -> dict[str, str]:
        """Return each program's state, as in `RUNNING`; empty when the stack is down."""
        if not self.running():
            return {}
        infos: Any = self._control().getAllProcessInfo()
        return {str(info["name"]): str(info["statename"]) for info in infos}

    def _control(self) -> Any:
        login = f"vigil:{self._stack.secrets.supervisor_password}"
        # As a part of the address it would stand in the texts of errors.
        header = ("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        address = f"http://127.0.0.1:{self._stack.ports['supervisor']}/RPC2"
        return xmlrpc.client.ServerProxy(address, headers=[header]).supervisor

    def _write_config(self) -> None:
        config = configparser.RawConfigParser()
        logs = self._stack.logs
        config["supervisord"] = {
            "logfile": str(logs / "supervisord.log"),
            "pidfile": str(self._pid_file),
            "childlogdir": str(logs),
            "directory": str(PROJECT),
        }
        config["inet_http_server"] = {
            "port": f"127.0.0.1:{self._stack.ports['supervisor']}",
            "username": "vigil",
            "password": self._stack.secrets.supervisor_password,
        }
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        programs = self.programs()
        for program in programs:
            config[f"program:{program.name}"] = _section(program, logs)
        # Groups stop one after the other, from the last: Airflow goes before what it works with.
        for priority, group in enumerate((SERVICES, AIRFLOW)):
            names = [program.name for program in programs if program.group == group]
            config[f"group:{group}"] = {"programs": ",".join(names), "priority": str(priority)}
        self._config.touch(mode=0o600)
        with self._config.open("w") as file:
            config.write(file)


def _section(program: Program, logs: Path) -> dict[str, str]:
    section = {
        # Should supervisor be killed, it leaves nothing running that nobody looks after.
        "command": " ".join(_quoted(part) for part in (*_ENDS_WITH_ITS_PARENT, *program.command)),
        "autostart": "false",
        "autorestart": "unexpected",
        "startsecs": "1",
        "stopwaitsecs": str(program.stop_wait_s),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(logs / f"{program.name}.log"),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": "2",
    }
    if program.environment:
        section["environment"] = ",".join(f'{name}="{value}"' for name, value in program.environment.items())
    return section


def _quoted(part: str) -> str:
    # Supervisor expands %(…)s and splits at spaces.
    return '"' + part.replace("%", "%%") + '"'


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        # A zombie still answers signals; its state is the field behind the parenthesised name.
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

"""How MWAA's image of Airflow 3.3.1 starts: which environment its processes see, and who wins.

From the weakest to the strongest: the image, MWAA's opinions, what startup.sh exports, the environment's
Airflow configuration options, what is protected, and what MWAA needs for itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

AIRFLOW_VERSION = "3.3.1"
PYTHON = "3.12"
HOME = Path("/usr/local/airflow")
SIMPLE_AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
FAB_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
STARTUP_LIMIT_S = 295.0

_OPTION = re.compile(r"[a-z]+[a-z0-9_]*\.[a-z0-9._]*[a-z0-9_]")
_ALL_BUT_AWS_DEFAULT = json.dumps({"connections_lookup_pattern": "^(?!aws_default$).*$"})
_PROTECTED = frozenset(
    {
        "AIRFLOW_ENV_ID",
        "AIRFLOW_ENV_NAME",
        "AIRFLOW_HOME",
        "AIRFLOW_VERSION",
        "AIRFLOW__API__BASE_URL",
        "AIRFLOW__WEBSERVER__BASE_URL",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "CUSTOMER_ACCOUNT_ID",
        "JWT_PUBLIC_KEY",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "WATCHTOWER_VERSION",
    }
)
_PROTECTED_BEGINNINGS = ("MWAA__", "ECS_")
_OPINIONS = {
    "AIRFLOW__API__SERVER_TYPE": "gunicorn",
    "AIRFLOW__API__WORKER_REFRESH_INTERVAL": "43200",
    "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
    "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES": "proxy,proxies",
    "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "1800.0",
    "AIRFLOW__SECRETS__BACKEND_KWARGS": _ALL_BUT_AWS_DEFAULT,
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": _ALL_BUT_AWS_DEFAULT,
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
}
# What a shell sets by itself.
_OF_THE_SHELL = frozenset({"_", "OLDPWD", "PWD", "SHLVL"})


class StartupError(Exception):
    """startup.sh kept a container from starting."""


@dataclass(frozen=True)
class Container:
    """One container of an environment.

    Attributes:
        environment: the environment's name.
        component: what runs in it: scheduler, worker or webserver.
        region: of the environment.
        home: Airflow's folder, `/usr/local/airflow` in the cloud.
        image_path: what stands for `/python`, where MWAA keeps its own package.
        programs: the PATH.
    """

    environment: str
    component: str
    region: str
    home: Path
    image_path: Path
    programs: str

    def variables(self) -> dict[str, str]:
        """Return what the image itself sets."""
        return {
            "AIRFLOW_ENV_NAME": self.environment,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_VERSION": AIRFLOW_VERSION,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EXECUTION_ENV": f"Amazon_MWAA_{AIRFLOW_VERSION.replace('.', '')}",
            "AWS_REGION": self.region,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "MWAA_AIRFLOW_COMPONENT": self.component,
            "MWAA_COMMAND": self.component,
            "PATH": self.programs,
            "PYTHONPATH": str(self.image_path),
            "PYTHONUNBUFFERED": "1",
        }


@dataclass(frozen=True)
class Essentials:
    """What the processes of an environment share, and nobody may change.

    Attributes:
        metadata_url: Airflow's own database.
        api_url: where the API server answers.
        fernet_key: encrypts what the metadata keep secret.
        secret_key: signs what the API server hands out.
        jwt_secret: signs the tokens of tasks.
        executor: CeleryExecutor in the cloud; one machine has LocalExecutor.
        auth_manager: FAB with IAM in the cloud, SimpleAuthManager in the image on its own.
    """

    metadata_url: str = field(repr=False)
    api_url: str
    fernet_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    executor: str = "LocalExecutor"
    auth_manager: str = SIMPLE_AUTH_MANAGER

    def variables(self) -> dict[str, str]:
        """Return Airflow's configuration that MWAA sets whatever anybody says."""
        return {
            "AIRFLOW__API__BASE_URL": self.api_url,
            "AIRFLOW__API__SECRET_KEY": self.secret_key,
            "AIRFLOW__API_AUTH__JWT_ALGORITHM": "HS256",
            "AIRFLOW__API_AUTH__JWT_SECRET": self.jwt_secret,
            "AIRFLOW__CORE__AUTH_MANAGER": self.auth_manager,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.api_url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": self.executor,
            "AIRFLOW__CORE__FERNET_KEY": self.fernet_key,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MULTI_TEAM": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.metadata_url,
            "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
            "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
        }


def is_protected(name: str) -> bool:
    """Tell whether a variable is one that neither startup.sh nor an option can change."""
    return name in _PROTECTED or name.startswith(_PROTECTED_BEGINNINGS)


def variable_of(option: str) -> str:
    """Return the variable of an Airflow configuration option, written as `section.option`.

    Raises:
        ValueError: MWAA knows no option that is written so.
    """
    if not _OPTION.fullmatch(option):
        raise ValueError(f"{option!r} is no Airflow configuration option: write it as section.option")
    section, _, name = option.partition(".")
    return f"AIRFLOW__{section.upper()}__{name.upper()}"


def merge(
    container: Container, startup: Mapping[str, str], options: Mapping[str, str], essentials: Essentials
) -> dict[str, str]:
    """Return the environment that a container's Airflow sees.

    Args:
        container: where it runs.
        startup: what startup.sh exports.
        options: the environment's Airflow configuration options.
        essentials: what MWAA needs for itself.
    """
    image = container.variables()
    configured = {variable_of(option): value for option, value in options.items()}
    wanted = {**image, **_OPINIONS, **startup, **configured}
    free = {name: value for name, value in wanted.items() if not is_protected(name)}
    protected = {name: value for name, value in image.items() if is_protected(name)}
    return {**free, **protected, **essentials.variables()}


def overruled(startup: Mapping[str, str], options: Mapping[str, str], essentials: Essentials) -> list[str]:
    """Return the variables that startup.sh or an option sets in vain."""
    said = {*startup, *(variable_of(option) for option in options)}
    return sorted(name for name in said if is_protected(name) or name in essentials.variables())


def exports_of(
    script: Path, environment: Mapping[str, str], log: BinaryIO, limit_s: float = STARTUP_LIMIT_S
) -> dict[str, str]:
    """Source startup.sh and return what it exports.

    Args:
        script: startup.sh.
        environment: what it sees.
        log: gets what it prints.
        limit_s: most seconds that it may take.

    Raises:
        StartupError: it takes too long, or leaves the shell, so that nothing can follow it.
    """
    with tempfile.NamedTemporaryFile(prefix="exports-") as exports:
        command = ["bash", "-c", 'source "$1"; env -0 > "$2"', "bash", str(script), exports.name]
        try:
            subprocess.run(
                command,
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StartupError(f"startup.sh took longer than {limit_s:.0f} s: do less in it.") from error
        found = exports.read().decode()
    if not found:
        raise StartupError(
            "startup.sh left the shell, so Airflow cannot start after it: do not `exit` in it."
        )
    variables = dict(entry.split("=", 1) for entry in found.rstrip("\0").split("\0"))
    return {
        name: value
        for name, value in variables.items()
        if name not in _OF_THE_SHELL and environment.get(name) != value
    }

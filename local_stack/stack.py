"""What one machine's stack is made of: folders, ports, secrets, and the environment its processes see."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from local_aws.files import write_atomically
from local_stack.mariadb import MariaDB
from local_stack.ports import free_port
from vigil.database import Database
from vigil.errors import SettingsError
from vigil.settings import parse_connection

PROJECT = Path(__file__).resolve().parents[1]
VAR = PROJECT / "var"
USER_DATABASE = "VIGIL_DATABASE"
# Set to "external" where somebody else runs the processes, as docker compose does.
PROCESSES = "VIGIL_PROCESSES"
REGION = "eu-west-1"
ADMIN = "admin"

_WANTED_PORTS = {"airflow": 8793, "database": 13306, "local_aws": 14566, "supervisor": 19001}
_LOG_SERVER = "log_server"
_LOG_SERVER_PORT = 8794
_GIVEN_PREFIX = "VIGIL_SECRET_"


@dataclass(frozen=True)
class Secrets:
    """Hold what is generated once and stays on this machine."""

    airflow_password: str
    api_secret_key: str
    jwt_secret: str
    supervisor_password: str


@dataclass(frozen=True)
class Stack:
    """Describes the stack under one folder.

    Attributes:
        folder: everything that the stack writes; `make clean` deletes it.
        ports: by process, all on 127.0.0.1.
        secrets: generated when the stack was first set up.
        external: somebody else starts and stops its processes.
    """

    folder: Path
    ports: Mapping[str, int]
    secrets: Secrets
    external: bool = False

    @property
    def airflow_url(self) -> str:
        """Return where the Airflow UI is."""
        return f"http://localhost:{self.ports['airflow']}"

    @property
    def aws_url(self) -> str:
        """Return where the embedded AWS answers."""
        return f"http://127.0.0.1:{self.ports['local_aws']}"

    @property
    def airflow_home(self) -> Path:
        """Return Airflow's own folder."""
        return self.folder / "airflow"

    @property
    def logs(self) -> Path:
        """Return the folder of the processes' logs."""
        return self.folder / "logs"

    @property
    def settings_file(self) -> Path:
        """Return the file with the options of the section [vigil], written by provisioning."""
        return self.folder / "settings.json"

    @property
    def extra_environment_file(self) -> Path:
        """Return the file with further variables for Airflow, if there is one; they win."""
        return self.folder / "environment.json"

    @property
    def mariadb(self) -> MariaDB:
        """Return the private server, which runs unless a server is named in the environment."""
        return MariaDB(self.folder / "database", self.ports["database"])

    @property
    def uses_private_database(self) -> bool:
        """Tell whether the stack runs a database of its own."""
        return USER_DATABASE not in os.environ

    @property
    def database(self) -> Database:
        """Return the database: the private one, or the one named in the environment."""
        if self.uses_private_database:
            return self.mariadb.database
        return parse_connection(os.environ[USER_DATABASE], USER_DATABASE)

    def aws_environment(self) -> dict[str, str]:
        """Return the variables that make every AWS client talk to the embedded AWS."""
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
        without_proxy = ",".join(["127.0.0.1", "localhost", *filter(None, [others])])
        return {
            "NO_PROXY": without_proxy,
            "no_proxy": without_proxy,
            "AWS_ENDPOINT_URL": self.aws_url,
            # MWAA's clients would look for api.127.0.0.1.
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            # A laptop has no instance metadata; looking for it costs seconds.
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def environment(self) -> dict[str, str]:
        """Return what Airflow's processes, and everything that acts as they do, find in their environment."""
        settings = _read_json(self.settings_file)
        database = self.database
        connection = {
            "conn_type": "mysql",
            "host": database.host,
            "port": database.port,
            "login": database.user,
            "password": database.password,
            "schema": database.name,
            "extra": {"ssl_ca": database.ca_file} if database.ca_file else {},
        }
        given = {name: value for name, value in os.environ.items() if name.startswith(("AIRFLOW", "AWS_"))}
        inherited = {name: value for name, value in os.environ.items() if name not in given}
        return {
            **inherited,
            **self.aws_environment(),
            **self._airflow_environment(),
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "AIRFLOW_CONN_VIGIL_DATABASE": json.dumps(connection),
            **{f"AIRFLOW__VIGIL__{name.upper()}": str(value) for name, value in settings.items()},
            **_read_json(self.extra_environment_file),
            # Who runs the processes may say what they need; a person's own shell may not.
            **(given if self.external else {}),
        }

    def _airflow_environment(self) -> dict[str, str]:
        home = self.airflow_home
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT / "local_stack" / "airflow_settings"),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "AIRFLOW__API__BASE_URL": self.airflow_url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.ports["airflow"]),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": self.secrets.api_secret_key,
            "AIRFLOW__API_AUTH__JWT_SECRET": self.secrets.jwt_secret,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.ports[_LOG_SERVER]),
            # The default of one second would be most of a minutely run's time.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }


def _read_json(file: Path) -> dict[str, str]:
    return dict(json.loads(file.read_text())) if file.exists() else {}


def open_stack(folder: Path = VAR / "stack") -> Stack:
    """Return the stack of a folder; choose its ports and secrets when it is new.

    Ports stay the same as long as the stack lives, so that links and queue addresses stay true.
    """
    # The processes run in a folder of their own.
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # Airflow and the database write secrets below it, with modes of their own choice.
    folder.chmod(0o700)
    if os.environ.get(PROCESSES) == "external":
        return Stack(
            folder, {**_WANTED_PORTS, _LOG_SERVER: _LOG_SERVER_PORT}, _given_secrets(), external=True
        )
    ports_file = folder / "ports.json"
    if not ports_file.exists():
        ports = {name: free_port(port) for name, port in {**_WANTED_PORTS, _LOG_SERVER: 0}.items()}
        write_atomically(ports_file, json.dumps(ports, indent=2).encode())
    secrets_file = folder / "secrets.json"
    if not secrets_file.exists():
        made = Secrets(
            airflow_password=secrets.token_urlsafe(12),
            api_secret_key=secrets.token_hex(32),
            jwt_secret=secrets.token_hex(64),
            supervisor_password=secrets.token_urlsafe(24),
        )
        write_atomically(secrets_file, json.dumps(asdict(made), indent=2).encode())
    return Stack(folder, json.loads(ports_file.read_text()), Secrets(**json.loads(secrets_file.read_text())))


def _given_secrets() -> Secrets:
    """Read the secrets of a stack whose processes somebody else runs.

    Raises:
        SettingsError: one is missing.
    """
    names = [field.name for field in fields(Secrets)]
    missing = [name for name in names if not os.environ.get(f"{_GIVEN_PREFIX}{name.upper()}")]
    if missing:
        variables = ", ".join(f"{_GIVEN_PREFIX}{name.upper()}" for name in missing)
        raise SettingsError(f"{variables} must be set where {PROCESSES} is external: `make .env` makes them.")
    return Secrets(**{name: os.environ[f"{_GIVEN_PREFIX}{name.upper()}"] for name in names})

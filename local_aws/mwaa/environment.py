"""A running environment: what it took from S3, its containers, and the folder that follows the DAGs."""

from __future__ import annotations

import base64
import json
import logging
import os
import secrets
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local_aws.clients import Clients
from local_aws.files import write_atomically
from local_aws.mwaa.airflow_processes import SCHEDULER, WEBSERVER, AirflowProcesses, free_port
from local_aws.mwaa.code_bucket import CodeBucket, DagFolder, MissingObjectError
from local_aws.mwaa.home import Home
from local_aws.mwaa.image import PYTHON, Container, Essentials, exports_of, merge, overruled
from local_aws.mwaa.requirements import takes_airflows_constraints, unmet_requirements
from local_aws.reaper import Reaper

_FOLLOW_S = 2.0
_STAND_IN = Path(__file__).with_name("stand_in")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Code:
    """What an environment takes up once, at its start."""

    plugins: bytes | None
    requirements: bytes | None
    startup: bytes | None


@dataclass(frozen=True)
class Keys:
    """What is generated once for an environment and stays on this machine."""

    fernet_key: str
    secret_key: str
    jwt_secret: str


class Environment:
    """One environment as its record describes it; start it once.

    Args:
        record: as GetEnvironment tells it.
        region: of it.
        folder: everything that it keeps on this machine.
        clients: of the embedded AWS.
        reaper: ends its processes should this server be killed.
    """

    def __init__(
        self, record: Mapping[str, Any], region: str, folder: Path, clients: Clients, reaper: Reaper
    ) -> None:
        self._record = record
        self._region = region
        self._folder = folder
        self._clients = clients
        self._reaper = reaper
        self._home = Home(folder / "airflow")
        self._bucket = CodeBucket(clients.get("s3", region), record["SourceBucketArn"])
        self._dags = DagFolder(self._bucket, record["DagS3Path"], self._home.dags)
        self._processes: AirflowProcesses | None = None
        self._ended = threading.Event()
        self._follower = threading.Thread(target=self._follow, name=f"mwaa {record['Name']}", daemon=True)

    @property
    def url(self) -> str:
        """Return where the API server answers."""
        return f"http://{self._record['WebserverUrl']}"

    def read_code(self) -> Code:
        """Read from S3 what the record names.

        Raises:
            MissingObjectError: an object or version is not there.
        """
        record = self._record
        self._bucket.tags_under(record["DagS3Path"])
        return Code(
            *(
                self._bucket.read(record.get(f"{part}S3Path"), record.get(f"{part}S3ObjectVersion"))
                for part in ("Plugins", "Requirements", "StartupScript")
            )
        )

    def start(self, code: Code) -> None:
        """Put everything in its place, start Airflow and wait until it is healthy.

        Raises:
            AirflowDownError: it does not come up.
            StartupError: startup.sh keeps it from starting.
            ValueError: plugins.zip or requirements.txt cannot be read, or leads out of its folder.
            MissingObjectError: the bucket is gone.
        """
        self._home.path.mkdir(parents=True, exist_ok=True)
        self._home.lay_out(code.plugins, code.requirements, code.startup)
        self._dags.follow()
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        self._check_requirements(code.requirements, logs)
        environments = {name: self._environment(name, logs) for name in (SCHEDULER, WEBSERVER)}
        self._processes = AirflowProcesses(logs, self.url, environments, self._home.path, self._reaper)
        if self._ended.is_set():
            self._processes.stop()
        self._processes.start()
        self._follower.start()

    def stop(self) -> None:
        """End its processes; what it keeps stays."""
        self._ended.set()
        if self._follower.is_alive():
            self._follower.join()
        if self._processes:
            self._processes.stop()

    def _follow(self) -> None:
        """Take up changes of the DAGs, and start anew what has ended."""
        processes = self._processes
        while processes and not self._ended.wait(_FOLLOW_S):
            try:
                for name in self._dags.follow():
                    log.info("%s: took up dags/%s", self._record["Name"], name)
                processes.revive()
            except (MissingObjectError, ValueError, OSError):  # what is in the way may be gone next time
                log.exception("%s could not follow its DAGs", self._record["Name"])

    def _environment(self, component: str, logs: Path) -> dict[str, str]:
        container = Container(
            self._record["Name"],
            component,
            self._region,
            self._home.path,
            _STAND_IN,
            f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        )
        options = self._record.get("AirflowConfigurationOptions", {})
        essentials = self._essentials()
        cloud = self._clients.environment(self._region) | {"AWS_EC2_METADATA_DISABLED": "true"}
        startup = {}
        if self._home.startup_script.exists():
            with (logs / f"startup-{component}.log").open("ab") as output:
                startup = exports_of(self._home.startup_script, container.variables() | cloud, output)
        for name in overruled(startup, options, essentials):
            log.warning("%s: %s is MWAA's own and cannot be set", self._record["Name"], name)
        return merge(container, startup, options, essentials) | cloud | self._of_this_machine()

    def _essentials(self) -> Essentials:
        file = self._folder / "keys.json"
        if not file.exists():
            fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            keys = Keys(fernet, secrets.token_hex(32), secrets.token_hex(64))
            write_atomically(file, json.dumps(asdict(keys)).encode())
        kept = json.loads(file.read_text())
        return Essentials(f"sqlite:///{self._home.path}/airflow.db", self.url, **kept)

    def _of_this_machine(self) -> dict[str, str]:
        """Return what one machine needs beside what MWAA sets: ports, one API process, no login."""
        return {
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.url.rpartition(":")[2],
            "AIRFLOW__API__SERVER_TYPE": "uvicorn",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        }

    def _check_requirements(self, content: bytes | None, logs: Path) -> None:
        """Say what this interpreter lacks; as in the cloud, Airflow starts all the same."""
        text = (content or b"").decode("utf-8", "replace")
        lines = ["Nothing is installed: requirements.txt is held against this machine's own packages."]
        if not takes_airflows_constraints(text):
            lines.append("requirements.txt names constraints of its own, so Airflow's are not applied.")
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        if running != PYTHON:
            lines.append(f"This is Python {running}, Amazon MWAA has {PYTHON}: pins may differ.")
        try:
            unmet = unmet_requirements(text)
        except ValueError as error:
            unmet = [str(error)]
        lines += [f"ERROR: {problem}" for problem in unmet]
        with (logs / "requirements.log").open("a", encoding="utf-8") as output:
            output.write("\n".join(lines) + "\n")

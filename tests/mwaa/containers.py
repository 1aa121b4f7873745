"""Containers of a staged package: processes that find it where MWAA would have put it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.packaging import build_package
from local_aws.mounts import mounted
from local_aws.mwaa.home import Home
from local_aws.mwaa.image import FAB_AUTH_MANAGER, HOME, Container, Essentials, exports_of, merge
from tests.mwaa.image_packages import PROJECT, ImagePackages

SCRIPTS = Path(__file__).with_name("in_image")
LIMIT_S = 120


@dataclass(frozen=True)
class Stage:
    """A package, staged.

    Attributes:
        root: stands for the container's disk.
        packages: what is installed in it.
        options: the environment's Airflow configuration options.
    """

    root: Path
    packages: ImagePackages
    options: Mapping[str, str]

    @property
    def staged(self) -> Home:
        """Return the home as the test sees it."""
        return Home(self.root / HOME.relative_to("/"))

    @property
    def home(self) -> Path:
        """Return the home as a container sees it: at its true path where the machine can show it there."""
        return HOME if self._command([]) else self.staged.path

    def _command(self, command: list[str]) -> list[str] | None:
        return mounted(self.staged.path, HOME, self.root / "usr-local-of-the-machine", command)

    def container(self, component: str) -> Container:
        image_path = self.root / "python"
        programs = f"{self.packages.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        return Container("vigil-prod", component, "eu-west-1", self.home, image_path, programs)

    def environment(self, component: str, options: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what a container's Airflow sees."""
        container = self.container(component)
        fab = self.root / "python" / "mwaa" / "webserver" / "webserver_config.py"
        essentials = Essentials(
            metadata_url=f"sqlite:///{self.home}/{component}.db",
            api_url="http://localhost:8080",
            fernet_key=base64.urlsafe_b64encode(b"f" * 32).decode(),
            secret_key="s" * 64,
            jwt_secret="j" * 64,
            auth_manager=FAB_AUTH_MANAGER,
        )
        with (self.root / "startup.log").open("wb") as log:
            startup = exports_of(self.staged.startup_script, container.variables(), log)
        merged = merge(container, startup, {**self.options, **(options or {})}, essentials)
        return merged | {"AIRFLOW__FAB__CONFIG_FILE": str(fab)}

    def _of_the_test(self) -> dict[str, str]:
        return {
            # In the cloud, role and network are found there.
            "AWS_EC2_METADATA_DISABLED": "true",
            # Not beside the code, and shared by the containers, so that Airflow is compiled once.
            "PYTHONPYCACHEPREFIX": str(self.home / "bytecode"),
        }

    def run(
        self,
        component: str,
        *arguments: str,
        options: Mapping[str, str] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run a component's script in a container, and return its report."""
        report = self.root / f"{component}.json"
        script = [str(self.packages.python), str(self.root / "checks" / f"{component}.py"), str(report)]
        command = [*script, str(PROJECT), str(self.packages.folder), *arguments]
        done = subprocess.run(
            self._command(command) or command,
            env=self.environment(component, options) | self._of_the_test() | (more or {}),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
        return json.loads(report.read_text()) | {"output": done.stdout + done.stderr}


def stage(project: Path, root: Path, packages: ImagePackages, options: Mapping[str, str]) -> Stage:
    """Build a project's package and put it where MWAA would."""
    package = build_package(project, root / "package").folder
    staged = Stage(root, packages, options)
    staged.staged.path.mkdir(parents=True)
    parts = ("plugins.zip", "requirements.txt", "startup.sh")
    staged.staged.lay_out(*((package / part).read_bytes() for part in parts))
    shutil.copytree(package / "dags", staged.staged.dags, dirs_exist_ok=True)
    shutil.copytree(SCRIPTS, root / "checks", ignore=shutil.ignore_patterns("__pycache__"))
    webserver = root / "python" / "mwaa" / "webserver"
    webserver.mkdir(parents=True)
    # MWAA's own signs people in by IAM, and is not public.
    (webserver / "webserver_config.py").write_text("AUTH_TYPE = 1\nWTF_CSRF_ENABLED = True\n")
    return staged


def names_in(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as plugins:
        return plugins.namelist()

"""Puts what S3 holds where a container finds it."""

from __future__ import annotations

import io
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from local_aws.files import UnsafePathError, inside

_MOST_BYTES = 1 << 30
_LINK = 0o120000
_TYPE = 0o170000


@dataclass(frozen=True)
class Home:
    """Airflow's folder in a container.

    Attributes:
        path: `/usr/local/airflow` in the cloud.
    """

    path: Path

    @property
    def dags(self) -> Path:
        """Return the folder that follows S3 all the time."""
        return self.path / "dags"

    @property
    def plugins(self) -> Path:
        """Return the folder of what plugins.zip holds."""
        return self.path / "plugins"

    @property
    def requirements(self) -> Path:
        """Return the file of what pip installs at the start."""
        return self.path / "requirements" / "requirements.txt"

    @property
    def startup_script(self) -> Path:
        """Return the script that is sourced at the start."""
        return self.path / "startup" / "startup.sh"

    def lay_out(self, plugins: bytes | None, requirements: bytes | None, startup: bytes | None) -> None:
        """Put there what a container takes up once, at its start, in place of what an earlier one took up.

        Args:
            plugins: plugins.zip.
            requirements: requirements.txt.
            startup: startup.sh.

        Raises:
            UnsafePathError: an entry of the archive leads out of its folder, or is a link.
            ValueError: the archive is none, or is larger than a container takes.
        """
        for folder in ("config", "dags", "logs"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.plugins, ignore_errors=True)
        self.plugins.mkdir()
        if plugins is not None:
            unzip(plugins, self.plugins)
        for file, content in ((self.requirements, requirements), (self.startup_script, startup)):
            file.parent.mkdir(exist_ok=True)
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_bytes(content)


def unzip(content: bytes, folder: Path) -> None:
    """Unpack an archive into a folder, and nowhere else."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise ValueError(f"plugins.zip is no zip archive: {error}") from error
    with archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"plugins.zip unpacks to more than {_MOST_BYTES} bytes")
        for entry in archive.infolist():
            target = inside(folder, entry.filename)
            if (entry.external_attr >> 16) & _TYPE == _LINK:
                raise UnsafePathError(f"{entry.filename!r} is a link")
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(entry))

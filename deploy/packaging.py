"""What Amazon MWAA runs, as a folder that is the same to the byte wherever and whenever it is built."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from deploy.wheels import WHEELS, offline_requirements

_PARTS = frozenset({"dags", "plugins.zip", "requirements.txt", "startup.sh"})
_IGNORE_FILE = ".airflowignore"
# What editors, merges and Python leave behind; every hidden name but Airflow's ignore file is left out too.
_JUNK = (
    "__pycache__/",
    "*.py[co]",
    "*~",
    "#*#",
    "*.bak",
    "*.orig",
    "*.rej",
    "*.tmp",
    ".*",
    f"!{_IGNORE_FILE}",
)
_DEMO_ONLY = "include/sample-data"
_EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755


class PackagingError(Exception):
    """The project cannot be packed; the message names what is in the way."""


@dataclass(frozen=True)
class Package:
    """A built package.

    Attributes:
        folder: where it lies.
        files: SHA-256 of each file, by its path in the folder.
    """

    folder: Path
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Return one SHA-256 of all names and contents."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Return the size of all files."""
        return sum((self.folder / name).stat().st_size for name in self.files)


def build_package(project: Path, target: Path, wheels: Sequence[Path] = ()) -> Package:
    """Build the package of a project in a folder, replacing the one that was there.

    Args:
        project: the checkout.
        target: the folder; whole or absent at every moment.
        wheels: what `requirements.txt` is to be installed from, for a network without a way to PyPI.

    Raises:
        PackagingError: a part is missing, is a symbolic link, or the target holds something else.
    """
    _refuse_what_is_no_package(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = f".{target.name}-"
    for leftover in target.parent.glob(f"{unfinished}*"):
        shutil.rmtree(leftover)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=unfinished))
    _fill(project, work / "new", wheels)
    if target.exists():
        target.rename(work / "old")
    (work / "new").rename(target)
    shutil.rmtree(work)
    return read_package(target)


def read_package(folder: Path) -> Package:
    """Read what a built package consists of."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Package(
        folder,
        {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        },
    )


def _refuse_what_is_no_package(target: Path) -> None:
    others = sorted({path.name for path in target.iterdir()} - _PARTS) if target.exists() else []
    if others:
        raise PackagingError(
            f"{target} holds {others[0]}, which is no part of a package: name a folder that may be replaced."
        )


def _fill(project: Path, folder: Path, wheels: Sequence[Path]) -> None:
    ignored = _ignored(project)
    dags = [file for file in _files(project, "dags", ignored) if file.parent == Path("dags")]
    include = [f for f in _files(project, "include", ignored) if not f.is_relative_to(_DEMO_ONLY)]
    for file in dags:
        if file.suffix == ".py" or file.name == _IGNORE_FILE:
            _copy(project / file, folder, file)
    for file in include:
        _copy(project / file, folder, "dags" / file)
    plugins = {file.relative_to("plugins"): project / file for file in _files(project, "plugins", ignored)}
    _zip(plugins | {Path(WHEELS) / wheel.name: wheel for wheel in wheels}, folder)
    _copy(_required(project / "requirements.txt"), folder, Path("requirements.txt"))
    if wheels:
        requirements = folder / "requirements.txt"
        requirements.write_text(offline_requirements(requirements.read_text(encoding="utf-8")))
    _copy(_required(project / "deploy" / "startup.sh"), folder, Path("startup.sh"))


def _ignored(project: Path) -> GitIgnoreSpec:
    own = project / ".gitignore"
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    return GitIgnoreSpec.from_lines([*lines, *_JUNK])


def _files(project: Path, part: str, ignored: GitIgnoreSpec) -> list[Path]:
    """Return the files of a part, relative to the project, in an order that no file system decides."""
    found = sorted(_walk(_required(project / part), project, ignored), key=Path.as_posix)
    if not found:
        raise PackagingError(f"{project / part} is empty: is {project} the project's folder?")
    return found


def _walk(folder: Path, project: Path, ignored: GitIgnoreSpec) -> Iterator[Path]:
    for path in folder.iterdir():
        name = path.relative_to(project)
        if ignored.match_file(f"{name.as_posix()}/" if path.is_dir() else name.as_posix()):
            continue
        if path.is_symlink():
            raise PackagingError(f"{name} is a symbolic link, and S3 has none: put the file itself there.")
        if path.is_dir():
            yield from _walk(path, project, ignored)
        else:
            yield name


def _required(path: Path) -> Path:
    if not path.exists():
        raise PackagingError(f"{path} does not exist: is this the project's folder?")
    return path


def _copy(source: Path, folder: Path, name: Path) -> None:
    copy = folder / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(source.read_bytes())
    copy.chmod(_FILE_MODE)
    for parent in name.parents:
        (folder / parent).chmod(_FOLDER_MODE)


def _zip(files: Mapping[Path, Path], folder: Path) -> None:
    """Pack the plugins without compression: libraries that compress differ in what they write.

    Args:
        files: where each lies, by its path in the archive.
        folder: where the archive goes.
    """
    with zipfile.ZipFile(folder / "plugins.zip", "w", zipfile.ZIP_STORED) as archive:
        for name, file in files.items():
            entry = zipfile.ZipInfo(name.as_posix(), _EPOCH_OF_ZIP)
            entry.create_system = 3  # Unix, also where it is built on Windows
            entry.external_attr = (0o100000 | _FILE_MODE) << 16
            archive.writestr(entry, file.read_bytes())
    (folder / "plugins.zip").chmod(_FILE_MODE)

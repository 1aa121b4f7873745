from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from deploy.packaging import PackagingError, build_package, read_package

PROJECT = Path(__file__).resolve().parents[2]
PARTS = ("dags", "include", "plugins")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of everything that is packed."""
    copy = tmp_path / "project"
    for part in PARTS:
        shutil.copytree(PROJECT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "deploy").mkdir()
    for file in ("requirements.txt", "deploy/startup.sh", ".gitignore"):
        shutil.copy(PROJECT / file, copy / file)
    return copy


def test_it_holds_what_mwaa_runs_and_nothing_of_the_demo(tmp_path: Path) -> None:
    package = build_package(PROJECT, tmp_path / "mwaa")
    dags = {f"dags/{file.name}" for file in (PROJECT / "dags").glob("*.py")}
    include = {
        f"dags/{file.relative_to(PROJECT).as_posix()}"
        for file in (PROJECT / "include").rglob("*")
        if file.is_file() and not {"sample-data", "__pycache__"} & set(file.parts)
    }
    assert len(dags) >= 10
    assert len(include) >= 100
    others = {"dags/.airflowignore", "plugins.zip", "requirements.txt", "startup.sh"}
    assert package.files.keys() == dags | include | others
    assert "include/" in (package.folder / "dags" / ".airflowignore").read_text().splitlines()
    with zipfile.ZipFile(package.folder / "plugins.zip") as archive:
        names = archive.namelist()
    assert names[0] == ".airflowignore"
    assert "vigil/paths.py" in names
    assert {name.split("/")[0] for name in names} <= {".airflowignore", "vigil", "vigil_plugin.py"}
    assert not [
        name for name in names if not name.endswith((".py", ".airflowignore", ".html", ".js", ".css"))
    ]
    assert package.size_bytes < 3_000_000


def test_it_is_the_same_to_the_byte_wherever_it_is_built(project: Path, tmp_path: Path) -> None:
    first = build_package(PROJECT, tmp_path / "first")
    for number, path in enumerate(sorted(project.rglob("*"))):
        os.utime(path, (number, number))
        if path.is_file():
            path.chmod(0o600)
    before = os.umask(0o077)
    try:
        second = build_package(project, tmp_path / "second")
    finally:
        os.umask(before)
    assert first.files == second.files
    assert first.digest == second.digest
    for folder in (first.folder, second.folder):
        modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}
        assert modes == {(True, 0o755), (False, 0o644)}
    (project / "dags" / "detect_anomalies.py").write_text("changed = True\n")
    assert build_package(project, tmp_path / "second").digest != first.digest


def test_what_git_ignores_and_editors_leave_stays_out(project: Path, tmp_path: Path) -> None:
    clean = build_package(project, tmp_path / "mwaa")
    (project / ".gitignore").write_text("*.secret\n/include/configs/mine/\n")
    for name in (
        *("plugins/vigil/__pycache__/a.cpython-312.pyc", "plugins/vigil/a.pyc", "plugins/vigil/aws.py~"),
        *("plugins/.idea/workspace.xml", "plugins/vigil/.aws.py.swp", "dags/#detect_anomalies.py#"),
        *("dags/notes.txt", "dags/drafts/draft.py", "dags/.DS_Store", "include/sql/old.sql.orig"),
        *("include/configs/token.secret", "include/configs/mine/pipeline.yaml", "include/.env"),
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("junk")
    assert build_package(project, tmp_path / "mwaa").files == clean.files


def test_a_build_that_was_killed_leaves_the_old_package_or_none(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mwaa"
    whole = build_package(project, target)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("deploy.packaging._zip", die)
        with pytest.raises(KeyboardInterrupt):
            build_package(project, target)
    assert read_package(target).files == whole.files
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            build_package(project, target)
    assert build_package(project, target).files == whole.files
    assert [path.name for path in tmp_path.iterdir() if "mwaa" in path.name] == ["mwaa"]


@pytest.mark.parametrize("part", [*PARTS, "requirements.txt", "deploy/startup.sh"])
def test_a_missing_part_is_named(project: Path, tmp_path: Path, part: str) -> None:
    (project / part).rename(tmp_path / "elsewhere")
    with pytest.raises(PackagingError, match=f"{part} does not exist"):
        build_package(project, tmp_path / "mwaa")


def test_a_symbolic_link_is_refused(project: Path, tmp_path: Path) -> None:
    (project / "include" / "passwords.yaml").symlink_to("/etc/passwd")
    with pytest.raises(PackagingError, match=r"include/passwords\.yaml is a symbolic link"):
        build_package(project, tmp_path / "mwaa")


def test_a_folder_that_is_no_package_is_not_replaced(project: Path) -> None:
    with pytest.raises(PackagingError, match="is no part of a package"):
        build_package(project, project / "include")
    assert (project / "include" / "sql").is_dir()

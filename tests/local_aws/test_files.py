"""Archives: what they may hold, and where it may go."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from local_aws.files import TooLargeError, UnsafePathError, extract_archive, inside


def archive_of(*members: tarfile.TarInfo) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    packed.seek(0)
    return packed


def member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size if kind == tarfile.REGTYPE else 0, kind, link
    return made


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    extract_archive(
        archive_of(member("code", kind=tarfile.DIRTYPE), member("code/a"), member("./b")), tmp_path
    )
    assert (tmp_path / "code/a").read_bytes() == (tmp_path / "b").read_bytes() == b"xxx"


@pytest.mark.parametrize(
    "bad",
    [
        member("../out"),
        member("a/../../out"),
        member("/out"),
        member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        member("link", kind=tarfile.LNKTYPE, link="../out"),
        member("device", kind=tarfile.CHRTYPE),
        member("pipe", kind=tarfile.FIFOTYPE),
    ],
    ids=lambda bad: f"{bad.name}-{bad.type.decode()}",
)
def test_nothing_leads_out_of_the_folder(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UnsafePathError):
        extract_archive(archive_of(bad), folder)
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_folder_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError):
        inside(tmp_path / "a", "../ab/c")


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_has(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError):
        extract_archive(archive_of(member("a", 10), member("b", 1 << 20)), tmp_path, most_bytes=1 << 20)
    assert not (tmp_path / "b").exists()
    with pytest.raises(TooLargeError):
        extract_archive(archive_of(*(member(str(n)) for n in range(4))), tmp_path, most_entries=3)


def test_the_size_that_an_entry_tells_is_what_is_unpacked(tmp_path: Path) -> None:
    content = gzip.decompress(archive_of(member("a", 512)).getvalue())
    shorter = content.replace(b"00000001000\0", b"00000000400\0", 1)
    with pytest.raises(tarfile.TarError):
        extract_archive(io.BytesIO(gzip.compress(shorter)), tmp_path)

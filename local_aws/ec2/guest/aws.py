"""`aws s3 cp|sync|ls`, as the cloud's command line has them; anything else is refused."""

from __future__ import annotations

import fnmatch
import getopt
import http.client
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

from local_aws.ec2.guest.s3 import S3, Listed, S3Error

_GLOBAL = ("region=", "output=", "profile=", "endpoint-url=", "no-cli-pager", "debug")
_QUIET = ("only-show-errors", "quiet", "no-progress")
_IGNORED = ("content-type=", "sse", "acl=", "storage-class=", "no-follow-symlinks")
_WANTED = (
    "recursive",
    "delete",
    "exclude=",
    "include=",
    "size-only",
    "dryrun",
    "human-readable",
    "summarize",
)
_SYNC_SLACK_S = 1.0  # S3 tells times in whole seconds


@dataclass
class Wishes:
    """The options of a call."""

    flags: set[str] = field(default_factory=set)
    filters: list[tuple[str, str]] = field(default_factory=list)

    def takes(self, name: str) -> bool:
        """Tell whether the filters let a name pass; the last that fits decides."""
        taken = True
        for kind, pattern in self.filters:
            if fnmatch.fnmatchcase(name, pattern):
                taken = kind == "--include"
        return taken


class UsageError(Exception):
    """A call that this command line does not know."""

    status = 252


class MissingError(UsageError):
    """A file that is not there."""

    status = 255


def main(arguments: list[str]) -> int:
    """Do one command of the command line, and give its exit status."""
    try:
        options, rest = getopt.gnu_getopt(arguments, "", [*_GLOBAL, *_QUIET, *_IGNORED, *_WANTED])
        command = _COMMANDS.get(tuple(rest[:2]))
        if command is None:
            known = ", ".join(" ".join(names) for names in _COMMANDS)
            raise UsageError(f"the embedded AWS's command line knows only: {known}")
        wishes = Wishes(
            {name for name, _ in options}, [one for one in options if one[0] in ("--exclude", "--include")]
        )
        given = dict(options)
        url = given.get("--endpoint-url") or os.environ["AWS_ENDPOINT_URL"]
        region = given.get("--region") or os.environ.get("AWS_REGION", "us-east-1")
        return command(S3(url, region), rest[2:], wishes)
    except (getopt.GetoptError, UsageError) as error:
        print(f"aws: error: {error}", file=sys.stderr)
        return getattr(error, "status", UsageError.status)
    except (S3Error, OSError, http.client.HTTPException) as error:
        print(f"fatal error: {error}", file=sys.stderr)
        return 1


def _copy(s3: S3, arguments: list[str], wishes: Wishes) -> int:
    source, target = _two(arguments)
    if "--recursive" in wishes.flags:
        return _each(_Transfers(s3, source, target, wishes).all(), wishes)
    if source == "-" and _is_remote(target):
        return _each([Transfer("upload", "-", target, lambda: _put_stdin(s3, target))], wishes)
    if target == "-" and _is_remote(source):
        bucket, key = _split(source)
        s3.head(bucket, key)
        s3.get(bucket, key, sys.stdout.buffer)
        sys.stdout.flush()
        return 0
    return _each([_Transfers(s3, source, target, wishes).one()], wishes)


def _sync(s3: S3, arguments: list[str], wishes: Wishes) -> int:
    source, target = _two(arguments)
    return _each(_Transfers(s3, source, target, wishes).differing(), wishes)


@dataclass(frozen=True)
class Transfer:
    """One thing to be done, and how it is told."""

    verb: str
    source: str
    target: str
    do: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.verb}: {self.source}" + (f" to {self.target}" if self.target else "")


def _each(transfers: Iterator[Transfer] | list[Transfer], wishes: Wishes) -> int:
    """Do every transfer; those that fail are told of, and the rest goes on."""
    status = 0
    for transfer in transfers:
        if "--dryrun" in wishes.flags:
            print(f"(dryrun) {transfer}")
            continue
        try:
            transfer.do()
        except (S3Error, OSError, http.client.HTTPException) as error:
            status = 1
            if "--quiet" not in wishes.flags:
                failed = f"{transfer.verb} failed:{str(transfer).partition(':')[2]}"
                print(f"{failed} {error}", file=sys.stderr)
            continue
        if not wishes.flags & {"--quiet", "--only-show-errors"}:
            print(transfer)
    return status


class _Transfers:
    """What a copy from one place to another consists of."""

    def __init__(self, s3: S3, source: str, target: str, wishes: Wishes) -> None:
        if not (_is_remote(source) or _is_remote(target)):
            raise UsageError("Invalid argument type: one of the two paths must be s3://")
        self._s3 = s3
        self._source = source
        self._target = target
        self._wishes = wishes

    def one(self) -> Transfer:
        """Copy one object or file, into a folder where the target is one."""
        if _is_remote(self._source):
            bucket, key = _split(self._source)
            found = self._s3.head(bucket, key)
            name = key.rpartition("/")[2]
        else:
            if not os.path.exists(self._source):
                raise MissingError(f"The user-provided path {self._source} does not exist.")
            found = None
            name = os.path.basename(self._source)
        target = self._target
        if (
            target.endswith("/")
            or _split_is_bucket(target)
            or (not _is_remote(target) and os.path.isdir(target))
        ):
            target = f"{target.rstrip('/')}/{name}"
        return self._transfer(self._source, target, found)

    def all(self) -> Iterator[Transfer]:
        """Copy whatever lies under the source."""
        for name, found in self._names(self._source):
            if self._wishes.takes(name):
                yield self._transfer(_under(self._source, name), _under(self._target, name), found)

    def differing(self) -> Iterator[Transfer]:
        """Copy what the target lacks or has otherwise, and remove what only it has, if wished."""
        there = dict(self._names(self._target))
        here = {name: found for name, found in self._names(self._source) if self._wishes.takes(name)}
        for name, found in here.items():
            if name not in there or self._differs(name, found, there[name]):
                yield self._transfer(_under(self._source, name), _under(self._target, name), found)
        if "--delete" in self._wishes.flags:
            for name in sorted(there.keys() - here.keys()):
                if self._wishes.takes(name):
                    yield self._removal(_under(self._target, name))

    def _differs(self, name: str, source: Listed, target: Listed) -> bool:
        if source.size != target.size:
            return True
        if "--size-only" in self._wishes.flags:
            return False
        newer_s = (source.changed_at - target.changed_at).total_seconds()
        return newer_s >= _SYNC_SLACK_S

    def _names(self, place: str) -> Iterator[tuple[str, Listed]]:
        if _is_remote(place):
            bucket, key = _split(place)
            prefix = f"{key.rstrip('/')}/" if key else ""
            for one in self._s3.list(bucket, prefix):
                if isinstance(one, Listed) and not one.key.endswith("/"):
                    yield one.key[len(prefix) :], one
            return
        for folder, folders, names in os.walk(place):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                found = os.stat(path)
                changed_at = datetime.fromtimestamp(found.st_mtime).astimezone()
                yield os.path.relpath(path, place), Listed(path, found.st_size, changed_at)

    def _transfer(self, source: str, target: str, found: Listed | None) -> Transfer:
        if not _is_remote(source):
            return Transfer("upload", source, target, lambda: self._upload(source, target))
        if _is_remote(target):
            return Transfer("copy", source, target, lambda: self._s3.copy(_split(source), *_split(target)))
        return Transfer("download", source, target, lambda: self._download(source, target, found))

    def _removal(self, place: str) -> Transfer:
        if _is_remote(place):
            return Transfer("delete", place, "", lambda: self._s3.delete(*_split(place)))
        return Transfer("delete", place, "", lambda: os.unlink(place))

    def _upload(self, source: str, target: str) -> None:
        with open(source, "rb") as file:
            self._s3.put(*_split(target), file)

    def _download(self, source: str, target: str, found: Listed | None) -> None:
        """Write a file that is whole or not there, as old as its object."""
        folder = os.path.dirname(target) or "."
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            try:
                self._s3.get(*_split(source), file)  # type: ignore[arg-type]
                file.flush()
                os.chmod(file.name, 0o644)
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise
        if found:
            moment = found.changed_at.timestamp()
            os.utime(target, (moment, moment))


def _list(s3: S3, arguments: list[str], wishes: Wishes) -> int:
    if not arguments or arguments[0] == "s3://":
        for name, made_at in s3.buckets():
            print(f"{_clock(made_at)} {name}")
        return 0
    bucket, prefix = _split(arguments[0] if _is_remote(arguments[0]) else f"s3://{arguments[0]}")
    recursive = "--recursive" in wishes.flags
    found = False
    for one in s3.list(bucket, prefix, "" if recursive else "/"):
        found = True
        above = "" if recursive else prefix[: prefix.rfind("/") + 1]
        if isinstance(one, str):
            print(f"{'PRE':>30} {one[len(above) :]}")
        else:
            print(f"{_clock(one.changed_at)} {one.size:>10} {one.key[len(above) :]}")
    return 0 if found or not prefix else 1


_COMMANDS: dict[tuple[str, ...], Callable[[S3, list[str], Wishes], int]] = {
    ("s3", "cp"): _copy,
    ("s3", "sync"): _sync,
    ("s3", "ls"): _list,
}


def _put_stdin(s3: S3, target: str) -> None:
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
        source: BinaryIO = file
        s3.put(*_split(target), source)


def _two(arguments: list[str]) -> tuple[str, str]:
    if len(arguments) != 2:
        raise UsageError("the following arguments are required: paths")
    return arguments[0], arguments[1]


def _is_remote(place: str) -> bool:
    return place.startswith("s3://")


def _split(place: str) -> tuple[str, str]:
    bucket, _, key = place.removeprefix("s3://").partition("/")
    return bucket, key


def _split_is_bucket(place: str) -> bool:
    return _is_remote(place) and not _split(place)[1]


def _under(place: str, name: str) -> str:
    return f"{place.rstrip('/')}/{name}"


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")

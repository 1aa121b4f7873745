"""The code bucket: what Airflow reads, and the record of every deployment.

A record names each file with its SHA-256 and the version that S3 gave it. A file is known to be in place only
while its newest version is the recorded one: what somebody else wrote, or a deployment that was killed, is
found by that and written anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError

from deploy.errors import DeployError

DAGS = "dags/"
INCLUDE = f"{DAGS}include/"
MIGRATIONS = f"{INCLUDE}sql/migrations/"
START_FILES = ("plugins.zip", "requirements.txt", "startup.sh")
_CURRENT = "deployment.json"
_HISTORY = "deployments/"
_LOCK = "deploying.json"
_AT_ONCE = 8
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class StoredFile:
    """A file of a deployment: SHA-256 of its content in hex, and S3's version of it."""

    sha256: str
    version: str


@dataclass(frozen=True)
class Deployment:
    """What was deployed at once.

    Attributes:
        name: its time and the first digits of its digest, as in 20261121T091500Z-1f2e3d4c.
        files: by key.
    """

    name: str
    files: Mapping[str, StoredFile]


@dataclass(frozen=True)
class FileChanges:
    """What a deployment does to the files, by key."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def written(self) -> tuple[str, ...]:
        """Return what is added or changed."""
        return tuple(sorted((*self.added, *self.changed)))


@dataclass(frozen=True)
class CodeBucket:
    """Reads and writes one environment's code.

    Attributes:
        s3: client.
        name: of the bucket, which is versioned.
    """

    s3: Any
    name: str

    def current(self) -> Deployment | None:
        """Return the last deployment that was finished; None before the first one."""
        return self._read_record(_CURRENT)

    def deployment(self, name: str) -> Deployment:
        """Return an earlier deployment.

        Raises:
            DeployError: there is none of that name; the message names the last ones.
        """
        record = self._read_record(f"{_HISTORY}{name}.json")
        if record is None:
            known = self.history()[-5:]
            raise DeployError(f"There is no deployment {name!r}: the last ones are {', '.join(known)}.")
        return record

    def history(self) -> list[str]:
        """Return the names of all finished deployments, oldest first."""
        keys = self._keys(_HISTORY)
        return sorted(key.removeprefix(_HISTORY).removesuffix(".json") for key in keys)

    def files_in_place(self) -> dict[str, StoredFile]:
        """Return the files whose newest version is the recorded one; others count as unknown."""
        current = self.current()
        newest = dict(self._newest_versions())
        recorded = current.files if current else {}
        return {key: file for key, file in recorded.items() if newest.get(key) == file.version}

    def changes_to(self, wanted: Mapping[str, str]) -> FileChanges:
        """Compare the bucket with what it should hold.

        Args:
            wanted: SHA-256 by key.
        """
        in_place = self.files_in_place()
        present = {key for key, _ in self._newest_versions()}
        different = {
            key for key, digest in wanted.items() if key not in in_place or in_place[key].sha256 != digest
        }
        return FileChanges(
            added=tuple(sorted(different - present)),
            changed=tuple(sorted(different & present)),
            removed=tuple(sorted(present - wanted.keys())),
        )

    def write(self, keys: Collection[str], content: Callable[[str], bytes]) -> dict[str, StoredFile]:
        """Upload files; return what S3 made of them.

        Args:
            keys: of the files.
            content: gives the bytes of one.
        """

        def put(key: str) -> StoredFile:
            body = content(key)
            answer = self.s3.put_object(
                Bucket=self.name, Key=key, Body=body, ChecksumAlgorithm="SHA256", **_described(key)
            )
            return StoredFile(sha256(body).hexdigest(), answer["VersionId"])

        return self._for_each(put, keys)

    def restore(self, keys: Collection[str], earlier: Deployment) -> dict[str, StoredFile]:
        """Make earlier versions of files the newest ones again; return what S3 made of them.

        Raises:
            DeployError: a version has expired.
        """

        def copy(key: str) -> StoredFile:
            source = {"Bucket": self.name, "Key": key, "VersionId": earlier.files[key].version}
            try:
                answer = self.s3.copy_object(Bucket=self.name, Key=key, CopySource=source)
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchVersion", "404"):
                    raise
                raise DeployError(
                    f"{key} of deployment {earlier.name} is no longer in the bucket {self.name}, which keeps "
                    "old versions for a limited time: check out the commit it was made from, and deploy that."
                ) from error
            return StoredFile(earlier.files[key].sha256, answer["VersionId"])

        return self._for_each(copy, keys)

    def remove(self, keys: Iterable[str]) -> None:
        """Delete files; their versions stay for a roll-back."""
        left = sorted(keys)
        for start in range(0, len(left), _DELETED_AT_ONCE):
            objects = [{"Key": key} for key in left[start : start + _DELETED_AT_ONCE]]
            answer = self.s3.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise DeployError(f"{first['Key']} could not be deleted: {first['Message']}")

    def record(self, files: Mapping[str, StoredFile], now: datetime) -> Deployment:
        """Write down that a deployment is finished."""
        deployment = Deployment(deployment_name({key: f.sha256 for key, f in files.items()}, now), files)
        body = json.dumps(asdict(deployment), indent=1, sort_keys=True).encode()
        # The history first: what is current must be found there.
        for key in (f"{_HISTORY}{deployment.name}.json", _CURRENT):
            self.s3.put_object(Bucket=self.name, Key=key, Body=body, ContentType="application/json")
        return deployment

    @contextmanager
    def locked(self, by: str, take_over: bool = False) -> Iterator[None]:
        """Keep other deployments out of the bucket.

        Args:
            by: who deploys, for those who are kept out.
            take_over: go on although somebody else deploys, or was killed while deploying.

        Raises:
            DeployError: somebody else deploys; the message says who, since when, and what to do.
        """
        note = json.dumps({"by": by, "since": datetime.now(UTC).isoformat(timespec="seconds")}).encode()
        condition = {} if take_over else {"IfNoneMatch": "*"}
        try:
            self.s3.put_object(Bucket=self.name, Key=_LOCK, Body=note, **condition)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
                raise
            raise DeployError(self._who_deploys()) from error
        try:
            yield
        finally:
            self.s3.delete_object(Bucket=self.name, Key=_LOCK)

    def _who_deploys(self) -> str:
        note = self._read(_LOCK)
        other = json.loads(note) if note else {"by": "somebody", "since": "just now"}
        return (
            f"{other['by']} has been deploying to {self.name} since {other['since']}: wait for the end, or, "
            "if that deployment was killed, say TAKE_OVER=1."
        )

    def _read_record(self, key: str) -> Deployment | None:
        body = self._read(key)
        if body is None:
            return None
        record = json.loads(body)
        files = {name: StoredFile(**file) for name, file in record["files"].items()}
        return Deployment(record["name"], files)

    def _read(self, key: str) -> bytes | None:
        try:
            return bytes(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read())
        except self.s3.exceptions.NoSuchKey:
            return None

    def _newest_versions(self) -> Iterator[tuple[str, str]]:
        """Yield key and version of everything that Airflow may read."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.name)
        for page in pages:
            for found in page.get("Versions", []):
                if found["IsLatest"] and is_code(found["Key"]):
                    yield found["Key"], found["VersionId"]

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", []))

    def _for_each(self, act: Callable[[str], StoredFile], keys: Collection[str]) -> dict[str, StoredFile]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(keys, pool.map(act, keys), strict=True))


def is_code(key: str) -> bool:
    """Tell whether a key is read by Airflow, and so belongs to a deployment."""
    return key.startswith(DAGS) or key in START_FILES


def deployment_name(wanted: Mapping[str, str], now: datetime) -> str:
    """Name a deployment by its time and what it consists of.

    Args:
        wanted: SHA-256 by key.
        now: in UTC.
    """
    digest = sha256("".join(f"{key}\0{wanted[key]}\n" for key in sorted(wanted)).encode()).hexdigest()
    return f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"


def _described(key: str) -> dict[str, str]:
    """Return the content type under which a browser shows a file of text."""
    return {} if key.endswith(".zip") else {"ContentType": "text/plain; charset=utf-8"}

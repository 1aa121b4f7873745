"""The code bucket: what Airflow reads, and the record of every deployment.

S3 keeps the SHA-256 of what was uploaded with it, so the bucket itself tells what is in place, also after a
deployment that was killed. What others put there has none, and is written anew. A record names each file of a
finished deployment with the version that S3 gave it: by that, an earlier one is brought back.
"""

from __future__ import annotations

import getpass
import json
import socket
from base64 import b64decode
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
# Of Airflow's stack: it gives the options that the code beside it knows, so both go back together.
ENVIRONMENT_TEMPLATE = "airflow.yaml"
START_FILES = (ENVIRONMENT_TEMPLATE, "plugins.zip", "requirements.txt", "startup.sh")
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
        names = self.history()
        return self.deployment(names[-1]) if names else None

    def deployment(self, name: str) -> Deployment:
        """Return an earlier deployment.

        Raises:
            DeployError: there is none of that name; the message names the last ones.
        """
        body = self._read(f"{_HISTORY}{name}.json")
        if body is None:
            last = ", ".join(self.history()[-5:]) or "none yet"
            raise DeployError(f"There is no deployment {name!r}: the last ones are {last}.")
        record = json.loads(body)
        return Deployment(name, {key: StoredFile(**file) for key, file in record["files"].items()})

    def history(self) -> list[str]:
        """Return the names of all finished deployments, oldest first."""
        keys = self._keys(_HISTORY)
        return sorted(key.removeprefix(_HISTORY).removesuffix(".json") for key in keys)

    def one_before(self) -> str:
        """Return the deployment before what is in place: the last one, if one after it was never finished.

        Raises:
            DeployError: there is none.
        """
        names = self.history()
        if names and self.changes_to({key: f.sha256 for key, f in self.deployment(names[-1]).files.items()}):
            return names[-1]
        if len(names) < 2:
            raise DeployError(
                f"There is no deployment before {' '.join(names) or 'the first'} to go back to."
            )
        return names[-2]

    def files_in_place(self) -> dict[str, StoredFile]:
        """Return what Airflow may read; a file that was not uploaded by a deployment has an empty SHA-256."""

        def look(key: str) -> StoredFile:
            answer = self.s3.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
            return StoredFile(b64decode(answer.get("ChecksumSHA256", "")).hex(), answer["VersionId"])

        keys = [key for key in self._keys("") if is_code(key)]
        return self._for_each(look, keys)

    def environment_template(self) -> str | None:
        """Return the template of Airflow's stack that is in place, if there is one."""
        body = self._read(ENVIRONMENT_TEMPLATE)
        return body.decode() if body else None

    def changes_to(self, wanted: Mapping[str, str]) -> FileChanges:
        """Compare the bucket with what it should hold.

        Args:
            wanted: SHA-256 by key.
        """
        return compare({key: file.sha256 for key, file in self.files_in_place().items()}, wanted)

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
                answer = self.s3.copy_object(
                    Bucket=self.name, Key=key, CopySource=source, ChecksumAlgorithm="SHA256"
                )
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
        key = f"{_HISTORY}{deployment.name}.json"
        self.s3.put_object(Bucket=self.name, Key=key, Body=body, ContentType="application/json")
        return deployment

    @contextmanager
    def locked(self, take_over: bool = False) -> Iterator[None]:
        """Keep others out of the bucket; they are told who deploys.

        Args:
            take_over: go on although somebody else deploys, or was killed while deploying.

        Raises:
            DeployError: somebody else deploys; the message says who, since when, and what to do.
        """
        by = f"{getpass.getuser()}@{socket.gethostname()}"
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
            if self._read(_LOCK) == note:  # and not that of somebody who took over
                self.s3.delete_object(Bucket=self.name, Key=_LOCK)

    def _who_deploys(self) -> str:
        note = self._read(_LOCK)
        other = json.loads(note) if note else {"by": "somebody", "since": "just now"}
        return (
            f"{other['by']} has been at work on {self.name} since {other['since']}: wait for the end, or, "
            "if that was killed, say TAKE_OVER=1."
        )

    def _read(self, key: str) -> bytes | None:
        try:
            return bytes(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read())
        except self.s3.exceptions.NoSuchKey:
            return None

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", []))

    def _for_each(self, act: Callable[[str], StoredFile], keys: Collection[str]) -> dict[str, StoredFile]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(keys, pool.map(act, keys), strict=True))


def compare(present: Mapping[str, str], wanted: Mapping[str, str]) -> FileChanges:
    """Tell what must happen to the files that are there.

    Args:
        present: SHA-256 by key.
        wanted: SHA-256 by key.
    """
    different = {key for key, digest in wanted.items() if present.get(key) != digest}
    return FileChanges(
        added=tuple(sorted(different - present.keys())),
        changed=tuple(sorted(different & present.keys())),
        removed=tuple(sorted(present.keys() - wanted.keys())),
    )


def is_code(key: str) -> bool:
    """Tell whether a key belongs to a deployment: Airflow reads it, or is made by it."""
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

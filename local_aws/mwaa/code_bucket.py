"""What an environment reads from S3: named versions at its start, and its DAGs all the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.files import inside, write_atomically


class MissingObjectError(Exception):
    """S3 does not give what the environment names."""


class CodeBucket:
    """The bucket of an environment.

    Args:
        s3: client.
        arn: of the bucket.
    """

    def __init__(self, s3: Any, arn: str) -> None:
        self._s3 = s3
        self._name = arn.rpartition(":")[2]

    def read(self, key: str | None, version: str | None) -> bytes | None:
        """Read a version of an object, or the newest; None where no object is named.

        Raises:
            MissingObjectError: S3 has no such object or version, or does not answer; the message says which.
        """
        if not key:
            return None
        named = {"VersionId": version} if version else {}
        try:
            content: bytes = self._s3.get_object(Bucket=self._name, Key=key, **named)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            which = f", version {version}" if version else ""
            raise MissingObjectError(f"s3://{self._name}/{key}{which} cannot be read: {error}") from error
        return content

    def tags_under(self, prefix: str) -> dict[str, str]:
        """Return the entity tag of every object under a prefix, by its name below it.

        Raises:
            MissingObjectError: there is no such bucket.
        """
        folder = prefix.strip("/") + "/"
        found: dict[str, str] = {}
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=folder):
                found |= {item["Key"][len(folder) :]: item["ETag"] for item in page.get("Contents", [])}
        except (ClientError, BotoCoreError) as error:
            raise MissingObjectError(f"s3://{self._name}/{folder} cannot be listed: {error}") from error
        return {name: tag for name, tag in found.items() if name and not name.endswith("/")}


class DagFolder:
    """A folder that follows a prefix of the bucket.

    Args:
        bucket: where the DAGs are.
        prefix: of their keys.
        folder: where they go; what it holds already is taken for unknown.
    """

    def __init__(self, bucket: CodeBucket, prefix: str, folder: Path) -> None:
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._folder = folder
        self._known: dict[str, str] = {}

    def follow(self) -> list[str]:
        """Take up what is new or has changed, remove what is gone; return the names of both.

        Raises:
            MissingObjectError: the bucket, or an object that was just listed, is gone.
            UnsafePathError: a key would lead out of the folder.
        """
        wanted = self._bucket.tags_under(self._prefix)
        changed = sorted(name for name, tag in wanted.items() if self._known.get(name) != tag)
        for name in changed:
            file = inside(self._folder, name)
            content = self._bucket.read(f"{self._prefix}/{name}", None)
            file.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: the DAG processor may look at any moment.
            write_atomically(file, content or b"")
            self._known[name] = wanted[name]
        gone = sorted(self._present() - wanted.keys())
        for name in gone:
            (self._folder / name).unlink()
            self._known.pop(name, None)
        return changed + gone

    def _present(self) -> set[str]:
        """Return what lies in the folder, but for what Python keeps there."""
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {
            path.relative_to(self._folder).as_posix() for path in files if "__pycache__" not in path.parts
        }

"""What can be deployed to the code bucket: a package just built, or what was deployed before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from deploy.code_bucket import CodeBucket, Deployment, StoredFile
from deploy.packaging import Package


class Code(Protocol):
    """Files that can be put into the code bucket."""

    @property
    def wanted(self) -> Mapping[str, str]:
        """Return the SHA-256 of each file by its key."""

    def put(self, bucket: CodeBucket, keys: Collection[str]) -> dict[str, StoredFile]:
        """Put files into the bucket."""


@dataclass(frozen=True)
class PackagedCode:
    """A package, and what belongs to one environment only.

    Attributes:
        package: as it was built.
        further: content of further files by their key.
    """

    package: Package
    further: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def wanted(self) -> Mapping[str, str]:
        """Return the SHA-256 of each file by its key."""
        return self.package.files | {key: sha256(body).hexdigest() for key, body in self.further.items()}

    def put(self, bucket: CodeBucket, keys: Collection[str]) -> dict[str, StoredFile]:
        """Upload files."""
        return bucket.write(keys, self._content)

    def _content(self, key: str) -> bytes:
        return self.further[key] if key in self.further else (self.package.folder / key).read_bytes()


@dataclass(frozen=True)
class EarlierCode:
    """What an earlier deployment consisted of."""

    deployment: Deployment

    @property
    def wanted(self) -> Mapping[str, str]:
        """Return the SHA-256 of each file by its key."""
        return {key: file.sha256 for key, file in self.deployment.files.items()}

    def put(self, bucket: CodeBucket, keys: Collection[str]) -> dict[str, StoredFile]:
        """Make the earlier versions the newest again."""
        return bucket.restore(keys, self.deployment)

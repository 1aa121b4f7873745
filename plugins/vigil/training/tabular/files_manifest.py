"""Names the files that a tabular model is trained on: written last, checked when it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from vigil.aws import S3Location
from vigil.errors import DataError, SettingsError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ManifestFile:
    """One CSV.

    Attributes:
        location: of the object.
        version_id: of the object, in a bucket that keeps versions.
        sha256: of its content, in hex.
        rows: without the header.
    """

    location: S3Location
    version_id: str | None
    sha256: str
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Return the file as JSON-like content."""
        return {
            "location": str(self.location),
            "version_id": self.version_id,
            "sha256": self.sha256,
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ManifestFile:
        """Read a file from JSON-like content."""
        return cls(
            location=S3Location.parse(content["location"]),
            version_id=content["version_id"],
            sha256=str(content["sha256"]),
            rows=int(content["rows"]),
        )


@dataclass(frozen=True)
class FilesManifest:
    """The files that a tabular model is trained on.

    Attributes:
        location: of the manifest.
        model: name of the model spec.
        encoding: where the encoding schema lies that all files fit.
        files: in order, the oldest first.
    """

    location: S3Location
    model: str
    encoding: S3Location
    files: tuple[ManifestFile, ...]

    @property
    def rows(self) -> int:
        """Return how many rows all files have together."""
        return sum(file.rows for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON-like content."""
        return {
            "location": str(self.location),
            "model": self.model,
            "encoding": str(self.encoding),
            "rows": self.rows,
            "files": [file.to_json() for file in self.files],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> FilesManifest:
        """Read a manifest from JSON-like content.

        Raises:
            ValueError: it names no file, or its rows are not those of its files.
        """
        manifest = cls(
            location=S3Location.parse(content["location"]),
            model=str(content["model"]),
            encoding=S3Location.parse(content["encoding"]),
            files=tuple(ManifestFile.from_json(file) for file in content["files"]),
        )
        if not manifest.files:
            raise ValueError("it names no file")
        if manifest.rows != content["rows"]:
            raise ValueError(f"its files have {manifest.rows} rows, not {content['rows']}")
        return manifest


def write_files_manifest(s3: Any, manifest: FilesManifest) -> None:
    """Put the manifest where it says it lies; every file must be there before."""
    body = json.dumps(manifest.to_json(), indent=2).encode()
    s3.put_object(Bucket=manifest.location.bucket, Key=manifest.location.key, Body=body)


def read_files_manifest(s3: Any, location: S3Location) -> FilesManifest:
    """Read the manifest of a tabular model's files.

    Raises:
        DataError: it is not there, or is none.
    """
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    except s3.exceptions.NoSuchKey as error:
        raise DataError(f"There is no manifest of files at {location}: write it first.") from error
    try:
        return replace(FilesManifest.from_json(json.loads(body)), location=location)
    except (ValueError, KeyError, TypeError, SettingsError) as error:
        raise DataError(f"{location} is no manifest of files ({error!r}): write it again.") from error

from __future__ import annotations

import json
from typing import Any

import pytest

from vigil.aws import S3Location
from vigil.errors import DataError
from vigil.training.tabular.files_manifest import (
    FilesManifest,
    ManifestFile,
    read_files_manifest,
    write_files_manifest,
)

AWKWARD = "accepted/a b+c%20d/ünï #1?/file (1)&=.csv"


def manifest_in(bucket: str) -> FilesManifest:
    return FilesManifest(
        location=S3Location(bucket, "run/manifest.json"),
        model="small",
        encoding=S3Location(bucket, "encodings/small/a.json"),
        files=(
            ManifestFile(S3Location(bucket, AWKWARD), "v1", "aa", 3),
            ManifestFile(S3Location(bucket, "b.csv"), None, "bb", 4),
        ),
    )


def test_a_manifest_is_read_as_it_was_written_whatever_the_keys(s3: Any, bucket: str) -> None:
    manifest = manifest_in(bucket)
    write_files_manifest(s3, manifest)
    assert read_files_manifest(s3, manifest.location) == manifest
    assert manifest.rows == 7


def test_a_manifest_that_is_not_there_is_named(s3: Any, bucket: str) -> None:
    with pytest.raises(DataError, match=f"no manifest of files at s3://{bucket}/run/manifest.json"):
        read_files_manifest(s3, manifest_in(bucket).location)


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"rows": 8},
        {"files": [{"location": "b.csv", "version_id": None, "sha256": "", "rows": 7}]},
        {"files": [{"location": "s3://b/b.csv"}]},
        {"encoding": None},
    ],
)
def test_a_damaged_manifest_is_refused(s3: Any, bucket: str, change: dict[str, Any]) -> None:
    manifest = manifest_in(bucket)
    content = json.dumps({**manifest.to_json(), **change}).encode()
    s3.put_object(Bucket=bucket, Key=manifest.location.key, Body=content)
    with pytest.raises(DataError, match="is no manifest of files"):
        read_files_manifest(s3, manifest.location)


def test_half_a_manifest_is_refused(s3: Any, bucket: str) -> None:
    place = manifest_in(bucket).location
    s3.put_object(Bucket=bucket, Key=place.key, Body=json.dumps(manifest_in(bucket).to_json())[:100].encode())
    with pytest.raises(DataError, match="is no manifest of files"):
        read_files_manifest(s3, place)

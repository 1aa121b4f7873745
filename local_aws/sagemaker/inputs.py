"""Brings a job's S3 input to its disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_aws.clients import download_object, download_prefix, list_objects, split_uri
from local_aws.files import inside
from local_aws.sagemaker.errors import client_error


def fetch(s3: Any, source: Mapping[str, Any], directory: Path) -> None:
    """Copy what an S3 data source means into a directory."""
    uri = source["S3Uri"]
    if source["S3DataType"] == "S3Prefix":
        download_prefix(s3, uri, directory)
        return
    directory.mkdir(parents=True, exist_ok=True)
    for entry in objects(s3, source):
        download_object(s3, entry, inside(directory, split_uri(entry)[1].rsplit("/", 1)[-1]))


def objects(s3: Any, source: Mapping[str, Any]) -> list[str]:
    """List the URIs of the objects that an S3 data source means."""
    uri, data_type = source["S3Uri"], source["S3DataType"]
    bucket, key = split_uri(uri)
    if data_type == "S3Prefix":
        return [f"s3://{bucket}/{found}" for found in list_objects(s3, uri)]
    if data_type != "ManifestFile":
        raise client_error(f"The embedded AWS has no S3 data type {data_type}")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        first, *names = json.loads(body)
        return [f"{first['prefix']}{name}" for name in names]
    except (ValueError, KeyError, TypeError) as error:
        raise client_error(f"The manifest {uri} is not a list of a prefix and names") from error

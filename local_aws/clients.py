"""How the embedded AWS uses its own S3, logs and events: over HTTP, as any client does."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.files import inside
from local_aws.sagemaker.errors import client_error

_CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}  # anything is accepted
_CHUNK = 1 << 20
log = logging.getLogger(__name__)


class Clients:
    """boto3 clients of one server, made once for a service and region.

    Args:
        url: of the server.
        attempts: most times that a call is made; by default as often as boto3 thinks right.
    """

    def __init__(self, url: str, attempts: int | None = None) -> None:
        self.url = url
        self._retries = {"total_max_attempts": attempts} if attempts else None
        self._lock = threading.Lock()
        self._client = cache(self._make)

    def get(self, service: str, region: str) -> Any:
        """Find or make a client."""
        with self._lock:  # boto3's session makes clients one at a time
            return self._client(service, region)

    def _make(self, service: str, region: str) -> Any:
        config = Config(
            inject_host_prefix=False,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
            retries=self._retries,
        )
        return boto3.client(service, region_name=region, endpoint_url=self.url, config=config, **_CREDENTIALS)

    def environment(self, region: str) -> dict[str, str]:
        """Name the variables with which a container's own AWS SDK reaches this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            # MWAA's clients would look for api.127.0.0.1.
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": _CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": _CREDENTIALS["aws_secret_access_key"],
        }

    def emit(self, region: str, detail_type: str, resource: str, detail: dict[str, Any]) -> None:
        """Put a SageMaker event onto the default bus."""
        entry = {
            "Source": "aws.sagemaker",
            "DetailType": detail_type,
            "Resources": [resource],
            "Detail": json.dumps(detail),
        }
        try:
            self.get("events", region).put_events(Entries=[entry])
        except ClientError:  # events are told when they can be; what they tell of has happened
            log.exception("The event %s of %s was not told", detail_type, resource)


def split_uri(uri: str) -> tuple[str, str]:
    """Take an S3 URI apart into bucket and key."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise client_error(f"Invalid S3 URI: {uri}")
    return bucket, key


def list_objects(s3: Any, uri: str) -> list[str]:
    """List the keys under an S3 prefix, or fail in the cloud's words when there is none."""
    bucket, prefix = split_uri(uri)
    try:
        keys = [key for key in _keys(s3, bucket, prefix) if not key.endswith("/")]
    except ClientError as error:
        raise client_error(f"Data download failed:{error.response['Error']['Message']} ({uri})") from error
    if not keys:
        raise client_error(
            f"Data download failed:Failed to download data. Cannot find any objects for the S3 URI {uri}"
            " with the S3 data type S3Prefix"
        )
    return keys


def download_prefix(s3: Any, uri: str, directory: Path, shard: tuple[int, int] = (0, 1)) -> None:
    """Copy the objects under an S3 prefix into a directory, keeping the names below the prefix."""
    bucket, prefix = split_uri(uri)
    directory.mkdir(parents=True, exist_ok=True)
    number, count = shard
    for key in list_objects(s3, uri)[number::count]:
        download_object(s3, f"s3://{bucket}/{key}", inside(directory, below_prefix(key, prefix)))


def below_prefix(key: str, prefix: str) -> str:
    """Name a key as it is seen from its prefix, which may end in the middle of a name."""
    if not prefix.endswith("/") and key.startswith(f"{prefix}/"):
        return key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def download_object(s3: Any, uri: str, path: Path) -> None:
    """Copy one object into a file, in one stream: the embedded S3 reads it whole for every range."""
    bucket, key = split_uri(uri)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        raise client_error(f"Data download failed:{error.response['Error']['Message']} ({uri})") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in body.iter_chunks(_CHUNK):
            file.write(chunk)


def encryption(output: Mapping[str, Any]) -> dict[str, str]:
    """Tell how S3 is to encrypt what goes where a job's request says; without a key as the bucket does."""
    return (
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": output["KmsKeyId"]} if "KmsKeyId" in output else {}
    )


def upload_file(s3: Any, path: Path, uri: str, encrypted: Mapping[str, str]) -> None:
    """Copy a file into one object."""
    bucket, key = split_uri(uri)
    try:
        with path.open("rb") as file:
            s3.put_object(Bucket=bucket, Key=key, Body=file, **encrypted)
    except ClientError as error:
        raise client_error(f"Data upload failed:{error.response['Error']['Message']} ({uri})") from error


def upload_directory(s3: Any, directory: Path, uri: str, encrypted: Mapping[str, str]) -> None:
    """Copy every file below a directory under an S3 prefix."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            upload_file(s3, path, f"{uri.rstrip('/')}/{path.relative_to(directory).as_posix()}", encrypted)


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"]

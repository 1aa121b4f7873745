"""AWS: clients, S3 locations and names that AWS accepts.

Clients come from one boto3 session and are built once. With `AWS_ENDPOINT_URL` set, as on a laptop, they
talk to the embedded AWS.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from vigil.errors import SettingsError

NAME_LIMIT = 63
# Services that answer for every region in one.
_REGIONS = {"pricing": "us-east-1"}
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=10,
    # A real-time endpoint may take a minute; AWS advises to wait a little longer than that.
    read_timeout=70,
)
# Some services put a name before AWS's own: api.airflow.eu-west-1.amazonaws.com, but not api.127.0.0.1.
_ELSEWHERE = Config(inject_host_prefix=False)


@dataclass(frozen=True)
class Aws:
    """Gives clients of one AWS session.

    Attributes:
        session: region and credentials.
        endpoint_url: where every service answers, if not at AWS.
        config: of the clients: how patient they are.
    """

    session: boto3.session.Session = field(default_factory=boto3.session.Session)
    endpoint_url: str | None = None
    config: Config = _CONFIG
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        """Return the client of a service, always the same one."""
        if service not in self._clients:
            self._clients[service] = self.session.client(
                service,
                region_name=_REGIONS.get(service, self.session.region_name),
                endpoint_url=self.endpoint_url,
                config=self.config.merge(_ELSEWHERE) if self.endpoint_url else self.config,
            )
        return self._clients[service]


@dataclass(frozen=True)
class S3Location:
    """A bucket and a key, or a prefix that ends in a slash."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Location:
        """Read `s3://bucket/key`.

        Raises:
            SettingsError: the text is no such location.
        """
        parts = urlsplit(uri)
        if parts.scheme != "s3" or not parts.netloc:
            raise SettingsError(f"{uri!r} is no S3 location: write s3://bucket/key.")
        return cls(parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").lstrip("/"))

    def __truediv__(self, name: str) -> S3Location:
        return S3Location(self.bucket, f"{self.key.rstrip('/')}/{name}" if self.key else name)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def parent(self) -> S3Location:
        """Return the prefix that an object lies in, without a slash at its end."""
        return S3Location(self.bucket, self.key.rpartition("/")[0])


def aws_name(*parts: str, limit: int = NAME_LIMIT) -> str:
    """Join parts to a name that SageMaker and CloudFormation accept, the same for the same parts.

    Letters, digits and single hyphens. A name that would be too long is cut in front and keeps its last part
    whole, for that is where a run or a content hash stands.

    Args:
        parts: the last one must be short.
        limit: most characters the service allows.
    """
    clean = [re.sub(r"[^a-zA-Z0-9]+", "-", part).strip("-") for part in parts]
    clean = [part for part in clean if part]
    head, tail = "-".join(clean[:-1]), clean[-1]
    room = limit - len(tail) - 1
    return f"{head[:room].rstrip('-')}-{tail}" if head else tail[:limit]


def content_hash(content: Any, length: int = 8) -> str:
    """Return the first hex digits of the SHA-256 of some JSON-like content."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def error_code(error: ClientError) -> str:
    """Return the code of an AWS error, as in `ThrottlingException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def error_message(error: ClientError) -> str:
    """Return the text of an AWS error."""
    return str(error.response.get("Error", {}).get("Message", ""))

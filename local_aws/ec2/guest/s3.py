"""As much of S3 as the `aws` of an instance needs, over plain HTTP: an SDK takes longer to start."""

from __future__ import annotations

import http.client
import os
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import BinaryIO
from urllib.parse import quote, urlencode, urlsplit

_LIMIT_S = 60.0
_CHUNK = 1 << 20
_NAMES = {301: "Moved Permanently", 403: "Forbidden", 404: "Not Found"}


class S3Error(Exception):
    """What S3 refused, in the words of the command line."""

    def __init__(self, code: str, operation: str, message: str) -> None:
        super().__init__(f"An error occurred ({code}) when calling the {operation} operation: {message}")
        self.code = code


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it."""

    key: str
    size: int
    changed_at: datetime


class S3:
    """The S3 of one server."""

    def __init__(self, url: str, region: str) -> None:
        self._address = urlsplit(url)
        # The embedded AWS takes any credentials, but reads the service and region off them.
        scope = f"Credential=local/20260101/{region}/s3/aws4_request"
        self._authorization = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"

    def head(self, bucket: str, key: str) -> Listed:
        """Describe an object."""
        answer = self._ask("HEAD", "HeadObject", bucket, key)
        answer.read()
        return Listed(
            key,
            int(answer.headers["Content-Length"]),
            parsedate_to_datetime(answer.headers["Last-Modified"]),
        )

    def get(self, bucket: str, key: str, target: BinaryIO) -> None:
        """Copy an object's bytes into a file."""
        shutil.copyfileobj(self._ask("GET", "GetObject", bucket, key), target, _CHUNK)

    def put(self, bucket: str, key: str, source: BinaryIO) -> None:
        """Make an object of a file."""
        size = os.fstat(source.fileno()).st_size
        headers = {"Content-Length": str(size)}
        self._ask("PUT", "PutObject", bucket, key, headers=headers, body=source).read()

    def copy(self, source: tuple[str, str], bucket: str, key: str) -> None:
        """Make an object of another one."""
        headers = {"x-amz-copy-source": quote(f"/{source[0]}/{source[1]}"), "Content-Length": "0"}
        self._ask("PUT", "CopyObject", bucket, key, headers=headers).read()

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self._ask("DELETE", "DeleteObject", bucket, key).read()

    def buckets(self) -> Iterator[tuple[str, datetime]]:
        """Name the buckets, and when they were made."""
        tree = self._parse(self._ask("GET", "ListBuckets", "", ""))
        for one in tree.iterfind("Buckets/Bucket"):
            yield one.findtext("Name", ""), datetime.fromisoformat(one.findtext("CreationDate", ""))

    def list(self, bucket: str, prefix: str, delimiter: str = "") -> Iterator[Listed | str]:
        """List the objects under a prefix, and with a delimiter the common prefixes too, as text."""
        query = {"list-type": "2", "prefix": prefix} | ({"delimiter": delimiter} if delimiter else {})
        while True:
            tree = self._parse(self._ask("GET", "ListObjectsV2", bucket, "", query))
            for one in tree.iterfind("CommonPrefixes/Prefix"):
                yield one.text or ""
            for one in tree.iterfind("Contents"):
                moment = datetime.fromisoformat(one.findtext("LastModified", ""))
                yield Listed(one.findtext("Key", ""), int(one.findtext("Size", "0")), moment)
            token = tree.findtext("NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    def _ask(
        self,
        method: str,
        operation: str,
        bucket: str,
        key: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: BinaryIO | None = None,
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=_LIMIT_S
        )
        path = quote(f"/{bucket}/{key}" if bucket else "/") + (f"?{urlencode(query)}" if query else "")
        connection.request(method, path, body, {"Authorization": self._authorization, **(headers or {})})
        answer = connection.getresponse()
        if answer.status >= 300:
            raise self._error(answer, operation)
        return answer

    def _error(self, answer: http.client.HTTPResponse, operation: str) -> S3Error:
        text = answer.read()
        if not text:
            return S3Error(str(answer.status), operation, _NAMES.get(answer.status, answer.reason))
        tree = ET.fromstring(text)  # noqa: S314 - the server's own
        return S3Error(tree.findtext("Code", str(answer.status)), operation, tree.findtext("Message", ""))

    def _parse(self, answer: http.client.HTTPResponse) -> ET.Element:
        tree = ET.fromstring(answer.read())  # noqa: S314 - the server's own
        for one in tree.iter():
            one.tag = one.tag.rpartition("}")[2]
        return tree

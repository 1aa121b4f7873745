"""Writes an object to S3 as its content comes, in bounded memory: it appears whole, or not at all."""

from __future__ import annotations

import hashlib
from types import TracebackType
from typing import Any, Self

from vigil.aws import S3Location

# S3 takes parts of 5 MiB or more, but for the last, and 10,000 of them.
_PART_BYTES = 8 * 1024 * 1024


class StreamedUpload:
    """Uploads an object by parts: use it in a `with` statement and `write` to it.

    Attributes:
        location: where the object will be.
        bytes: written so far.
    """

    def __init__(self, s3: Any, location: S3Location) -> None:
        self.location = location
        self.bytes = 0
        self._s3 = s3
        self._object = {"Bucket": location.bucket, "Key": location.key}
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of what was written so far, in hex."""
        return self._digest.hexdigest()

    def write(self, text: bytes) -> None:
        """Append some bytes."""
        self._buffer += text
        self._digest.update(text)
        self.bytes += len(text)
        if len(self._buffer) >= _PART_BYTES:
            self._send_part()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._complete()
        elif self._upload_id:
            self._s3.abort_multipart_upload(**self._object, UploadId=self._upload_id)

    def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = self._s3.create_multipart_upload(**self._object)["UploadId"]
        number = len(self._parts) + 1
        answer = self._s3.upload_part(
            **self._object, UploadId=self._upload_id, PartNumber=number, Body=bytes(self._buffer)
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._buffer.clear()

    def _complete(self) -> None:
        if self._upload_id is None:
            self._s3.put_object(**self._object, Body=bytes(self._buffer))
            return
        if self._buffer:
            self._send_part()
        self._s3.complete_multipart_upload(
            **self._object, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
        )

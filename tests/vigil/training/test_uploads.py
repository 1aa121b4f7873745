from __future__ import annotations

import hashlib
from typing import Any

import pytest

from vigil.aws import S3Location
from vigil.training.uploads import StreamedUpload

MEGABYTE = b"x" * 1024 * 1024


@pytest.mark.parametrize("megabytes", [0, 1, 8, 20])
def test_an_object_holds_what_was_written_whatever_its_size(s3: Any, bucket: str, megabytes: int) -> None:
    with StreamedUpload(s3, S3Location(bucket, "some/key")) as upload:
        for _ in range(megabytes):
            upload.write(MEGABYTE)
        upload.write(b"end")
    body = s3.get_object(Bucket=bucket, Key="some/key")["Body"].read()
    assert body == MEGABYTE * megabytes + b"end"
    assert upload.bytes == len(body)
    assert upload.sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("megabytes", [1, 20])
def test_an_upload_that_fails_leaves_nothing(s3: Any, bucket: str, megabytes: int) -> None:
    def fail() -> None:
        with StreamedUpload(s3, S3Location(bucket, "key")) as upload:
            for _ in range(megabytes):
                upload.write(MEGABYTE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)

"""Conditional writes of S3 that hold: the check and the write are one step, and copies are checked too.

Moto checks If-None-Match and writes afterwards, with nothing to keep another write out in between; for
copies it ignores the condition.
"""

from __future__ import annotations

import threading
from typing import Any

from moto.s3.exceptions import PreconditionFailed
from moto.s3.responses import S3Response

_put_object = S3Response.put_object
_copy_object = S3Response.copy_object
_key_response_post = S3Response._key_response_post
_writing = threading.RLock()


def apply() -> None:
    """Let one object be written at a time."""
    setattr(S3Response, "put_object", _put_alone)  # noqa: B010 - mypy refuses the assignment
    setattr(S3Response, "copy_object", _copy_alone)  # noqa: B010
    setattr(S3Response, "_key_response_post", _post_alone)  # noqa: B010


def _put_alone(response: S3Response) -> Any:
    with _writing:
        return _put_object(response)


def _copy_alone(response: S3Response) -> Any:
    with _writing:
        if response.headers.get("If-None-Match") == "*" and _is_there(response):
            raise PreconditionFailed("If-None-Match")
        return _copy_object(response)


def _post_alone(response: S3Response, *arguments: Any) -> Any:
    with _writing:
        return _key_response_post(response, *arguments)


def _is_there(response: S3Response) -> bool:
    return response.backend.get_object(response.bucket_name, response.parse_key_name()) is not None

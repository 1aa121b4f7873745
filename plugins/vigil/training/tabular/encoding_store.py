"""Keeps the encoding schema of a model on S3, written once: whoever comes second uses the first."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from vigil.aws import S3Location, content_hash, error_code
from vigil.errors import DataError
from vigil.training.spec.data import Tabular
from vigil.training.tabular.encoding import Encoding

# What else a spec says of its data changes no number: which files are taken, and what is refused.
_WITHOUT_EFFECT = {"new_data", "most_categories"}
_HASH = 16


def encoding_location(bucket: str, model: str, data: Tabular) -> S3Location:
    """Return where the encoding schema of a model lies; a spec that reads data otherwise has another."""
    content = data.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    for name in ("leave_out", "categorical"):
        content[name] = sorted(content[name])
    return S3Location(bucket, f"encodings/{model}/{content_hash(content, _HASH)}.json")


def load_encoding(s3: Any, location: S3Location) -> Encoding | None:
    """Read the encoding schema, if there is one.

    Raises:
        DataError: what lies there is none.
    """
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    try:
        return Encoding.from_json(json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{location} is no encoding schema ({error!r}): bring back its first version, or remove it "
            "to have the next file make a new one."
        ) from error


def save_encoding(s3: Any, location: S3Location, encoding: Encoding) -> Encoding:
    """Write the encoding schema, unless there is one; return the one that holds.

    Raises:
        DataError: there is one already, and it cannot be read.
    """
    body = json.dumps(encoding.to_json(), indent=2).encode()
    try:
        s3.put_object(Bucket=location.bucket, Key=location.key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        if error_code(error) != "PreconditionFailed":
            raise
        first = load_encoding(s3, location)
        if first is None:
            raise DataError(f"{location} was removed while it was looked at: try again.") from error
        return first
    return encoding

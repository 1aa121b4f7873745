"""The data set: what the algorithm and the evaluation get, whatever it was made from.

train/train.csv              label, features; no header
validation/validation.csv    the same, of the validation part
heldout/validation.csv       label, keys, features; no header
heldout/test.csv             the same, of the test part
schema.json                  names the columns and says how all was made; written last
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from vigil.aws import S3Location
from vigil.training.spec.part import Objective

PARTS = ("train", "validation", "test")
FILES = ("train/train.csv", "validation/validation.csv", "heldout/validation.csv", "heldout/test.csv")
SCHEMA = "schema.json"

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Dataset:
    """What was made to train and to evaluate on.

    Attributes:
        location: prefix that holds it.
        manifest: of the data that it was made of.
        model: name of the model spec.
        objective: what is predicted.
        label: name of the first column.
        features: names of the last columns, in order.
        keys: names of the columns between the two in the held-out files.
        classes: names of the classes; the label is a class's place among them. Empty for a regression.
        encoding: where the encoding schema of a tabular model lies; None for event counts.
        rows: of each part, by name.
        method: of the split.
        checksum: SHA-256 over the content of all files, in hex.
        notes: further figures for people, by name.
    """

    location: S3Location
    manifest: S3Location
    model: str
    objective: Objective
    label: str
    features: tuple[str, ...]
    keys: tuple[str, ...]
    rows: dict[str, int]
    method: str
    checksum: str
    classes: tuple[str, ...] = ()
    encoding: S3Location | None = None
    notes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON-like content."""
        return {
            **asdict(self),
            "location": str(self.location),
            "manifest": str(self.manifest),
            "features": list(self.features),
            "keys": list(self.keys),
            "classes": list(self.classes),
            "encoding": str(self.encoding) if self.encoding else None,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Dataset:
        """Read a description from JSON-like content."""
        return cls(
            **{
                **content,
                "location": S3Location.parse(content["location"]),
                "manifest": S3Location.parse(content["manifest"]),
                "features": tuple(content["features"]),
                "keys": tuple(content["keys"]),
                "classes": tuple(content["classes"]),
                "encoding": S3Location.parse(content["encoding"]) if content["encoding"] else None,
            }
        )

    def save(self, s3: Any) -> None:
        """Write the description beside the files; whoever finds it finds the data set whole."""
        target = self.location / SCHEMA
        body = json.dumps(self.to_json(), indent=2).encode()
        s3.put_object(Bucket=target.bucket, Key=target.key, Body=body)


def read_description(s3: Any, location: str) -> dict[str, Any]:
    """Return the description of a data set, made now or by an earlier version of this code."""
    place = S3Location.parse(location)
    content: dict[str, Any] = json.loads(s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read())
    return content


def forget_dataset(s3: Any, location: S3Location) -> None:
    """Remove the description of a data set that is about to be written anew."""
    target = location / SCHEMA
    s3.delete_object(Bucket=target.bucket, Key=target.key)

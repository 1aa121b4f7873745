"""Tables for tests: as text, as rows that were read, and on S3."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from typing import Any

from tests.vigil.training.history import small_spec
from vigil.aws import S3Location
from vigil.training.spec.data import Tabular
from vigil.training.spec.model import ModelSpec, parse_model_spec
from vigil.training.tabular.checking import CheckedFile, check_against_saved_encoding
from vigil.training.tabular.csv_rows import CsvFile, Rows
from vigil.training.tabular.encoding import Encoding
from vigil.training.tabular.encoding_store import encoding_location
from vigil.training.tabular.files_manifest import FilesManifest, ManifestFile, write_files_manifest
from vigil.training.tabular.problems import Problems
from vigil.training.tabular.survey import Survey


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Write a CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def read_table(content: bytes, block_bytes: int = 1 << 16) -> tuple[list[Rows], Problems]:
    """Read all columns of a CSV."""
    problems = Problems()
    file = CsvFile(io.BytesIO(content), block_bytes)
    return list(file.read(file.header, problems)), problems


def surveyed(content: bytes, data: Tabular) -> tuple[Encoding, Problems]:
    """Make the encoding schema of a CSV whose columns all but the target are seen."""
    rows, problems = read_table(content)
    survey = Survey(data, [name for name in rows[0].columns if name != data.target])
    for block in rows:
        survey.add(block)
    return survey.encoding(problems), problems


def tabular_data(**changes: Any) -> Tabular:
    """Return the data part of a spec that predicts `y`."""
    return Tabular(**{"kind": "tabular", "target": "y", "objective": "binary"} | changes)


def tabular_spec(data: Tabular, *, method: str = "random", **changes: Any) -> ModelSpec:
    """Return a model spec for a table."""
    content = small_spec(data=data.model_dump(), split={"method": method, "seed": 7}, gates={}) | changes
    content["algorithm"] = {"image": "sagemaker-xgboost", "version": "1.7-1"} | changes.get("algorithm", {})
    if data.objective != "regression":
        del content["band"]
    return parse_model_spec(content)


def dropped(s3: Any, bucket: str, data: Tabular, *contents: bytes, names: Sequence[str] = ()) -> S3Location:
    """Drop files, check them, and return their manifest."""
    saved = encoding_location(bucket, "small", data)
    files = []
    for number, content in enumerate(contents):
        location = S3Location(bucket, names[number] if names else f"incoming/small/{number}.csv")
        s3.put_object(Bucket=bucket, Key=location.key, Body=content)
        checked: CheckedFile = check_against_saved_encoding(s3, location, data, saved)
        assert checked.sha256 == hashlib.sha256(content).hexdigest()
        files.append(ManifestFile(location, None, checked.sha256, checked.rows))
    manifest = FilesManifest(S3Location(bucket, "run/manifest.json"), "small", saved, tuple(files))
    write_files_manifest(s3, manifest)
    return manifest.location

"""The data set: what an export becomes for the algorithm and for the evaluation.

    train/train.csv              label, features; no header
    validation/validation.csv    the same, of the validation part
    heldout/validation.csv       label, series, window_start, features; no header
    heldout/test.csv             the same, of the test part
    schema.json                  names the columns and says how all was made; written last

The export is read twice, a series at a time: once to check it and to find where to cut, once to write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vigil.aws import S3Location, content_hash
from vigil.bands import rows_needed
from vigil.errors import DataError
from vigil.features import FEATURE_NAMES, features_of, lookback_of
from vigil.training.export import Manifest, csv_field, read_manifest
from vigil.training.series import SeriesCounts, read_series
from vigil.training.spec import ModelSpec
from vigil.training.split import part_labels, part_sizes
from vigil.training.uploads import StreamedUpload
from vigil.windows import WINDOW_SECONDS, WINDOWS_PER_DAY, window_at, window_number

LABEL = "observed"
KEYS = ("series", "window_start")
PARTS = ("train", "validation", "test")
SCHEMA = "schema.json"

_TRAIN, _VALIDATION, _TEST = range(len(PARTS))
_FILES = ("train/train.csv", "validation/validation.csv", "heldout/validation.csv", "heldout/test.csv")
# Rows described at once; 61 counts to look back to make 8 MB of them.
_CHUNK_ROWS = 16_384

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Dataset:
    """What was made of an export.

    Attributes:
        location: prefix that holds it.
        manifest: of the export that it was made of.
        model: name of the model spec.
        label: name of the first column.
        features: names of the last columns, in order.
        keys: names of the columns between the two in the held-out files.
        rows: of each part, by name.
        series: how many there are.
        skipped_rows: at the start of each series, left out for want of windows to look back to.
        method: of the split.
        cuts: first window of the validation and of the test part; none in a random split.
        checksum: SHA-256 over the content of all files, in hex.
    """

    location: S3Location
    manifest: S3Location
    model: str
    label: str
    features: tuple[str, ...]
    keys: tuple[str, ...]
    rows: dict[str, int]
    series: int
    skipped_rows: int
    method: str
    cuts: tuple[datetime, ...]
    checksum: str

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON-like content."""
        return {
            "location": str(self.location),
            "manifest": str(self.manifest),
            "model": self.model,
            "label": self.label,
            "features": list(self.features),
            "keys": list(self.keys),
            "rows": self.rows,
            "series": self.series,
            "skipped_rows": self.skipped_rows,
            "method": self.method,
            "cuts": [cut.isoformat() for cut in self.cuts],
            "checksum": self.checksum,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Dataset:
        """Read a description from JSON-like content."""
        return cls(
            location=S3Location.parse(content["location"]),
            manifest=S3Location.parse(content["manifest"]),
            model=content["model"],
            label=content["label"],
            features=tuple(content["features"]),
            keys=tuple(content["keys"]),
            rows=dict(content["rows"]),
            series=content["series"],
            skipped_rows=content["skipped_rows"],
            method=content["method"],
            cuts=tuple(datetime.fromisoformat(cut) for cut in content["cuts"]),
            checksum=content["checksum"],
        )


def prepare_dataset(
    s3: Any,
    manifest: S3Location,
    spec: ModelSpec,
    destination: S3Location,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Describe every exported window, and share the rows out to train, validation and test.

    Nothing is uploaded unless all of the export is sound and there is enough of it.

    Args:
        s3: client.
        manifest: of the export.
        spec: says how to split and how long the warm-up is.
        destination: prefix for the files; a repeated preparation overwrites them.
        progress: called with the rows written so far, after each series.

    Raises:
        DataError: the export is damaged, holds what is no count, or is too small.
    """
    export = read_manifest(s3, manifest)
    warm_up = spec.data.warm_up_days * WINDOWS_PER_DAY
    survey = _survey(export, read_series(s3, export), warm_up)
    split = _split(spec, survey)
    s3.delete_object(Bucket=destination.bucket, Key=(destination / SCHEMA).key)
    with ExitStack() as stack:
        files = _Files(*(stack.enter_context(StreamedUpload(s3, destination / name)) for name in _FILES))
        rows = _write(files, read_series(s3, export), warm_up, split, progress)
    dataset = Dataset(
        location=destination,
        manifest=manifest,
        model=spec.name,
        label=LABEL,
        features=FEATURE_NAMES,
        keys=KEYS,
        rows=dict(zip(PARTS, rows, strict=True)),
        series=export.series,
        skipped_rows=survey.skipped,
        method=spec.split.method,
        cuts=split.times,
        checksum=content_hash([file.sha256 for file in files], length=64),
    )
    body = json.dumps(dataset.to_json(), indent=2).encode()
    s3.put_object(Bucket=destination.bucket, Key=(destination / SCHEMA).key, Body=body)
    return dataset


@dataclass(frozen=True)
class _Survey:
    """How many rows each window has, over all series.

    Attributes:
        first: number of the first window since the epoch.
        rows: of consecutive windows, shape (m,).
        skipped: rows of the warm-up.
    """

    first: int
    rows: NDArray[np.int64]
    skipped: int


def _survey(export: Manifest, series: Iterable[SeriesCounts], warm_up: int) -> _Survey:
    first = window_number(export.since)
    rows = np.zeros(window_number(export.until) - first + 1, dtype=np.int64)
    everything = 0
    for counts in series:
        known = counts.known(0)
        everything += len(known)
        rows[known[known >= warm_up] + counts.first - first] += 1
    return _Survey(first, rows, everything - int(rows.sum()))


@dataclass(frozen=True)
class _Split:
    """Says which part a row belongs to.

    Attributes:
        cuts: numbers of the first window of the validation and of the test part, in a chronological split.
        labels: part of each row in the order of the export, in a random split.
    """

    cuts: NDArray[np.int64] | None
    labels: NDArray[np.int8] | None

    @property
    def times(self) -> tuple[datetime, ...]:
        """Return the cuts as times."""
        return () if self.cuts is None else tuple(window_at(int(cut)) for cut in self.cuts)

    def parts_of(self, windows: NDArray[np.int64], row: int) -> NDArray[np.int64]:
        """Return the parts of some windows, the first of which is this row of the export; shape (n,)."""
        if self.cuts is not None:
            return np.searchsorted(self.cuts, windows, side="right").astype(np.int64)
        assert self.labels is not None  # noqa: S101 - one of the two is always there
        return self.labels[row : row + len(windows)].astype(np.int64)


def _split(spec: ModelSpec, survey: _Survey) -> _Split:
    """Choose the part of every row.

    Raises:
        DataError: a part would be empty, or too small to calibrate the band on.
    """
    rows = int(survey.rows.sum())
    if rows == 0:
        raise DataError(
            f"All {survey.skipped} windows lie in the first {spec.data.warm_up_days} days of their series, "
            "which are left out: wait for more, or lower data.warm_up_days in the model spec."
        )
    sizes = part_sizes(rows, spec.split.shares)
    if spec.split.method == "random":
        split = _Split(None, part_labels(rows, spec.split.shares, "random", spec.split.seed))
    else:
        # The same two times cut all series, so that no series tells another's future.
        until_window = np.cumsum(survey.rows)
        borders = np.searchsorted(until_window, np.cumsum(sizes)[:-1]) + 1
        at_border = [0, *until_window[borders - 1], rows]
        sizes = tuple(int(end - start) for start, end in pairwise(at_border))
        split = _Split(survey.first + borders.astype(np.int64), None)
    if 0 in sizes:
        windows = int(np.count_nonzero(survey.rows))
        raise DataError(
            f"{rows} rows in {windows} windows are too few to cut at two times: at least "
            f"{len(PARTS)} windows are needed, and many more to learn from."
        )
    needed = rows_needed(spec.band.coverage)
    if sizes[_VALIDATION] < needed:
        raise DataError(
            f"{rows} rows leave {sizes[_VALIDATION]} for validation, and a band of coverage "
            f"{spec.band.coverage} needs {needed} to calibrate on: wait for more windows, "
            "lower band.coverage or raise split.validation in the model spec."
        )
    return split


class _Files(NamedTuple):
    train: StreamedUpload
    validation: StreamedUpload
    heldout_validation: StreamedUpload
    heldout_test: StreamedUpload


def _write(
    files: _Files,
    series: Iterable[SeriesCounts],
    warm_up: int,
    split: _Split,
    progress: Progress | None,
) -> tuple[int, ...]:
    """Write the rows of all series to their files; return how many each part got."""
    written = [0] * len(PARTS)
    for counts in series:
        known = counts.known(warm_up)
        for start in range(0, len(known), _CHUNK_ROWS):
            positions = known[start : start + _CHUNK_ROWS]
            parts = split.parts_of(counts.first + positions, sum(written))
            for part in range(len(PARTS)):
                chosen = positions[parts == part]
                written[part] += len(chosen)
                _write_rows(files, part, counts, chosen)
        if progress:
            progress(sum(written))
    return tuple(written)


def _write_rows(files: _Files, part: int, counts: SeriesCounts, positions: NDArray[np.int64]) -> None:
    """Write some windows of one series and one part."""
    starts = (counts.first + positions) * WINDOW_SECONDS
    described = features_of(starts, lookback_of(counts.counts, positions))
    # repr is the shortest text that reads back as the same number: judging sees what training saw.
    features = [",".join(map(repr, row)) for row in described.tolist()]
    labels = counts.counts[positions].astype(np.int64).tolist()
    if part == _TRAIN:
        files.train.write(_lines(labels, features))
        return
    keys = [f"{csv_field(counts.series)},{start}" for start in starts.astype("datetime64[s]").astype(str)]
    if part == _VALIDATION:
        files.validation.write(_lines(labels, features))
        files.heldout_validation.write(_lines(labels, keys, features))
    else:
        files.heldout_test.write(_lines(labels, keys, features))


def _lines(*columns: Sequence[object]) -> bytes:
    return "".join(f"{','.join(map(str, row))}\n" for row in zip(*columns, strict=True)).encode()

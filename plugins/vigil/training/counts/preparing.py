"""Makes a data set of exported windows: each is described by features, and shared out to a part.

The export is read twice, a series at a time: once to check and to count it, once to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vigil.aws import S3Location, content_hash
from vigil.bands import rows_needed
from vigil.errors import DataError
from vigil.features import FEATURE_NAMES, features_of, lookback_of
from vigil.holidays import holidays
from vigil.training.counts.export import csv_field, read_manifest
from vigil.training.counts.series import SeriesCounts, read_series
from vigil.training.dataset import FILES, PARTS, Dataset, Progress, forget_dataset
from vigil.training.spec.data import EventCounts
from vigil.training.spec.model import ModelSpec
from vigil.training.split import cut_sizes, part_labels
from vigil.training.uploads import StreamedUpload
from vigil.windows import WINDOW_SECONDS, WINDOWS_PER_DAY

LABEL = "observed"
KEYS = ("series", "window_start")

_TRAIN, _VALIDATION, _TEST = range(len(PARTS))
# Rows described at once; 61 counts to look back to make 8 MB of them.
_CHUNK_ROWS = 16_384


def prepare_event_counts(
    s3: Any,
    manifest: S3Location,
    spec: ModelSpec,
    data: EventCounts,
    destination: S3Location,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Describe every exported window, and share the rows out to train, validation and test.

    Nothing is uploaded unless all of the export is sound and there is enough of it.

    Args:
        s3: client.
        manifest: of the export.
        spec: says how to split.
        data: of the spec; says how long the warm-up is.
        destination: prefix for the files; a repeated preparation overwrites them.
        progress: called with the rows written so far, after each series.

    Raises:
        DataError: the export is damaged, holds what is no count, or is too small.
    """
    export = read_manifest(s3, manifest)
    warm_up = data.warm_up_days * WINDOWS_PER_DAY
    rows_of_series, skipped = _rows_of_series(read_series(s3, export), warm_up)
    labels = _labels(spec, data, rows_of_series, skipped)
    forget_dataset(s3, destination)
    with ExitStack() as stack:
        files = _Files(*(stack.enter_context(StreamedUpload(s3, destination / name)) for name in FILES))
        rows = _write(files, read_series(s3, export), warm_up, labels, progress)
    dataset = Dataset(
        location=destination,
        manifest=manifest,
        model=spec.name,
        objective=spec.objective,
        label=LABEL,
        features=FEATURE_NAMES,
        keys=KEYS,
        rows=dict(zip(PARTS, rows, strict=True)),
        method=spec.split.method,
        checksum=content_hash([file.sha256 for file in files], length=64),
        notes={"series": export.series, "skipped_rows": skipped},
    )
    dataset.save(s3)
    return dataset


def _rows_of_series(series: Iterable[SeriesCounts], warm_up: int) -> tuple[list[int], int]:
    """Return how many rows each series gives, in the order of the export, and how many the warm-up takes."""
    rows, skipped = [], 0
    for counts in series:
        rows.append(len(counts.known(warm_up)))
        skipped += len(counts.known(0)) - rows[-1]
    return rows, skipped


def _labels(spec: ModelSpec, data: EventCounts, rows: Sequence[int], skipped: int) -> NDArray[np.int8]:
    """Choose the part of every row, in the order of the export.

    Chronological means each series by its own time: one that began late or has ended is held out too, so that
    the evaluation speaks for all of them.

    Raises:
        DataError: a part would be empty, or too small to calibrate the band on.
    """
    total = sum(rows)
    if total == 0:
        raise DataError(
            f"All {skipped} windows lie in the first {data.warm_up_days} days of their series, "
            "which are left out: wait for more, or lower data.warm_up_days in the model spec."
        )
    labels = part_labels(total, spec.split.shares, "random", spec.split.seed)
    if spec.split.method == "chronological":
        sizes = np.array([cut_sizes(count, spec.split.shares) for count in rows])
        labels = np.repeat(np.tile(np.arange(len(PARTS), dtype=np.int8), len(rows)), sizes.ravel())
    sizes_of_parts = np.bincount(labels, minlength=len(PARTS))
    if 0 in sizes_of_parts:
        raise DataError(
            f"{total} rows of {len(rows)} series are too few to hold some of each series out: wait for more "
            "windows."
        )
    calibrating = int(sizes_of_parts[_VALIDATION])
    needed = rows_needed(spec.band.coverage)
    if calibrating < needed:
        raise DataError(
            f"{total} rows leave {calibrating} for validation, and a band of coverage "
            f"{spec.band.coverage} needs {needed} to calibrate on: wait for more windows, "
            "lower band.coverage or raise split.validation in the model spec."
        )
    return labels


class _Files(NamedTuple):
    train: StreamedUpload
    validation: StreamedUpload
    heldout_validation: StreamedUpload
    heldout_test: StreamedUpload


def _write(
    files: _Files,
    series: Iterable[SeriesCounts],
    warm_up: int,
    labels: NDArray[np.int8],
    progress: Progress | None,
) -> tuple[int, ...]:
    """Write the rows of all series to their files; return how many each part got."""
    written = [0] * len(PARTS)
    for counts in series:
        known = counts.known(warm_up)
        for start in range(0, len(known), _CHUNK_ROWS):
            positions = known[start : start + _CHUNK_ROWS]
            row = sum(written)
            parts = labels[row : row + len(positions)]
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
    described = features_of(starts, lookback_of(counts.observed, counts.usual, positions), holidays())
    # repr is the shortest text that reads back as the same number: judging sees what training saw.
    features = [",".join(map(repr, row)) for row in described.tolist()]
    if part == _TRAIN:
        # An anomaly is learned from as far as it was usual; what is held out tells what really happened.
        files.train.write(_lines(counts.usual[positions].astype(np.int64).tolist(), features))
        return
    labels = counts.observed[positions].astype(np.int64).tolist()
    keys = [f"{csv_field(counts.series)},{start}" for start in starts.astype("datetime64[s]").astype(str)]
    if part == _VALIDATION:
        files.validation.write(_lines(labels, features))
        files.heldout_validation.write(_lines(labels, keys, features))
    else:
        files.heldout_test.write(_lines(labels, keys, features))


def _lines(*columns: Sequence[object]) -> bytes:
    return "".join(f"{','.join(map(str, row))}\n" for row in zip(*columns, strict=True)).encode()

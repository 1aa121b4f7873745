"""Makes a data set of CSV files that people dropped: each row is encoded, and shared out to a part.

The files are read twice as streams: once to check that they are what the manifest says and to choose the part
of each row, once to encode and to write. Only the part of each row is kept in memory in between.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vigil.aws import S3Location, content_hash
from vigil.bands import rows_needed
from vigil.errors import DataError, SettingsError
from vigil.training.dataset import FILES, PARTS, Dataset, Progress, forget_dataset
from vigil.training.spec.data import Tabular
from vigil.training.spec.model import ModelSpec
from vigil.training.split import chronological_labels, lasting_labels
from vigil.training.tabular.cells import read_times
from vigil.training.tabular.checking import open_object
from vigil.training.tabular.csv_rows import CsvFile, Rows, UnreadableError
from vigil.training.tabular.encoding import Encoding
from vigil.training.tabular.encoding_store import load_encoding
from vigil.training.tabular.files_manifest import FilesManifest, ManifestFile, read_files_manifest
from vigil.training.tabular.problems import Problems
from vigil.training.uploads import StreamedUpload

KEYS = ("row",)

_TRAIN, _VALIDATION, _TEST = range(len(PARTS))
# Encoded at once, of all rows together: short rows may have long encodings, of a thousand categories each.
_MOST_FEATURES = 500_000
# Pieces that are being encoded while the next one is read; more would take more memory.
_PIECES_AHEAD = 1
# Of a file's checksum, to shuffle its rows by.
_SEED_DIGITS = 16


def prepare_tabular(
    s3: Any,
    manifest: S3Location,
    spec: ModelSpec,
    data: Tabular,
    destination: S3Location,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Encode every row of the files, and share the rows out to train, validation and test.

    Nothing is uploaded unless all files are what the manifest says and there is enough of them.

    Args:
        s3: client.
        manifest: names the files, which were checked before.
        spec: says how to split, and the hyperparameters.
        data: of the spec.
        destination: prefix for the files; a repeated preparation overwrites them.
        progress: called with the rows written so far, after each block of them.

    Raises:
        DataError: a file is damaged, does not fit the encoding schema, or there are too few rows.
        SettingsError: a hyperparameter contradicts the encoding schema.
    """
    files = read_files_manifest(s3, manifest)
    encoding = _encoding_of(s3, files, spec, data)
    check_dimensions(spec.algorithm.hyperparameters, encoding)
    labels = _part_of_each_row(s3, files, spec, data, encoding)
    forget_dataset(s3, destination)
    with ExitStack() as stack:
        uploads = _Uploads(*(stack.enter_context(StreamedUpload(s3, destination / name)) for name in FILES))
        _write(s3, files, encoding, labels, uploads, progress)
    dataset = Dataset(
        location=destination,
        manifest=manifest,
        model=spec.name,
        objective=spec.objective,
        label=data.target,
        features=encoding.features,
        keys=KEYS,
        rows=dict(zip(PARTS, np.bincount(labels, minlength=len(PARTS)).tolist(), strict=True)),
        method=spec.split.method,
        checksum=content_hash([upload.sha256 for upload in uploads], length=64),
        classes=encoding.classes,
        encoding=files.encoding,
        notes={
            "files": len(files.files),
            **{f"left out, for it is constant: {name}": 1 for name in encoding.constant},
        },
    )
    dataset.save(s3)
    return dataset


def check_dimensions(hyperparameters: Mapping[str, str], encoding: Encoding) -> None:
    """Check the hyperparameters that say how many features or classes there are.

    Args:
        hyperparameters: by name; one that is not there is not asked for.
        encoding: tells the right numbers.

    Raises:
        SettingsError: one of them is wrong; the message names the right number.
    """
    features, classes = len(encoding.features), len(encoding.classes)
    right = {"feature_dim": (features, "features")}
    if encoding.objective == "multiclass":
        right |= {"num_class": (classes, "classes"), "num_classes": (classes, "classes")}
    for name, (number, what) in right.items():
        given = hyperparameters.get(name, "auto")
        if given not in ("auto", str(number)):
            raise SettingsError(
                f"The hyperparameter {name} is {given}, and the data have {number} {what} once they are "
                f"encoded: set it to {number}."
            )


def _encoding_of(s3: Any, files: FilesManifest, spec: ModelSpec, data: Tabular) -> Encoding:
    if files.model != spec.name:
        raise DataError(f"{files.location} is of the model {files.model}, not {spec.name}: give its own.")
    encoding = load_encoding(s3, files.encoding)
    if encoding is None:
        raise DataError(f"The encoding schema {files.encoding} is missing: check the files again.")
    if (encoding.target, encoding.objective) != (data.target, data.objective):
        raise DataError(
            f"The encoding schema {files.encoding} predicts {encoding.target} ({encoding.objective}), and "
            f"the model spec {data.target} ({data.objective}): check the files again by this spec."
        )
    return encoding


def _part_of_each_row(
    s3: Any, files: FilesManifest, spec: ModelSpec, data: Tabular, encoding: Encoding
) -> NDArray[np.int8]:
    """Choose the part of every row, in the order of the files.

    Raises:
        DataError: a part would be empty, or too small to calibrate the band on.
    """
    split = spec.split
    if split.method == "chronological" and data.time_column:
        times = _values_of(s3, files, data.time_column, lambda texts: read_times(texts)[0])
        labels = chronological_labels(np.concatenate(times), split.shares)
    else:
        # Of each row its class, or one number for all of them.
        by_class = split.method == "stratified"
        groups = _values_of(s3, files, data.target, encoding.labels if by_class else _no_groups)
        labels = np.concatenate(
            [
                lasting_labels(of_file, split.shares, (split.seed, int(file.sha256[:_SEED_DIGITS], 16)))
                for file, of_file in zip(files.files, groups, strict=True)
            ]
        )
        _check_parts(labels, np.concatenate(groups), encoding.classes if by_class else ("",))
    calibrating = int(np.count_nonzero(labels == _VALIDATION))
    needed = rows_needed(spec.band.coverage)
    if encoding.objective == "regression" and calibrating < needed:
        raise DataError(
            f"{len(labels)} rows leave {calibrating} for validation, and a band of coverage "
            f"{spec.band.coverage} needs {needed} to calibrate on: gather more rows, lower band.coverage or "
            "raise split.validation in the model spec."
        )
    return labels


class _Uploads(NamedTuple):
    train: StreamedUpload
    validation: StreamedUpload
    heldout_validation: StreamedUpload
    heldout_test: StreamedUpload


def _write(
    s3: Any,
    files: FilesManifest,
    encoding: Encoding,
    labels: NDArray[np.int8],
    uploads: _Uploads,
    progress: Progress | None,
) -> None:
    """Encode all rows and write each to the files of its part."""
    done = 0
    for columns in _encoded_columns(s3, files, encoding):
        parts = labels[done : done + len(columns[0])]
        for part in range(len(PARTS)):
            _write_rows(uploads, part, [column.filter(pa.array(parts == part)) for column in columns])
        done += len(parts)
        if progress:
            progress(done)


def _encoded_columns(s3: Any, files: FilesManifest, encoding: Encoding) -> Iterator[list[pa.Array]]:
    """Yield label, key and features of all rows in order; a thread encodes while the next are read."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: deque[Future[list[pa.Array]]] = deque()
        for file, rows in _rows_of(s3, files, (encoding.target, *encoding.inputs)):
            for piece in rows.pieces(max(1, _MOST_FEATURES // len(encoding.features))):
                waiting.append(pool.submit(_encoded, file, piece, encoding))
                if len(waiting) > _PIECES_AHEAD:
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _encoded(file: ManifestFile, rows: Rows, encoding: Encoding) -> list[pa.Array]:
    """Return label, key and features of some rows, each a column of text.

    Raises:
        DataError: a row has no label, or does not fit the encoding schema.
    """
    labels = _without_gaps(encoding.labels(rows.columns[encoding.target]), file, encoding.target)
    keys = pc.binary_join_element_wise(_printable_name(file), pc.cast(pa.array(rows.lines), pa.string()), ":")
    return [pc.cast(labels, pa.string()), keys, encoding.feature_lines(rows.columns)]


def _printable_name(file: ManifestFile) -> str:
    """Return the file's name as it can stand in a CSV without quotes."""
    name = file.location.key.rpartition("/")[2]
    return re.sub(r'[",%\x00-\x1f]', lambda character: f"%{ord(character[0]):02X}", name)


def _write_rows(uploads: _Uploads, part: int, columns: Sequence[pa.Array]) -> None:
    """Write label, key and features of rows of one part."""
    label, key, features = columns
    if part == _TRAIN:
        uploads.train.write(_lines(label, features))
    elif part == _VALIDATION:
        uploads.validation.write(_lines(label, features))
        uploads.heldout_validation.write(_lines(label, key, features))
    else:
        uploads.heldout_test.write(_lines(label, key, features))


def _lines(*columns: pa.Array) -> bytes:
    lines = pc.binary_join_element_wise(*columns, ",")
    whole = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")
    text: bytes = whole[0].as_buffer().to_pybytes()
    return text + b"\n" if len(lines) else b""


def _values_of(
    s3: Any, files: FilesManifest, column: str, read: Callable[[pa.Array], pa.Array]
) -> list[NDArray[np.int64]]:
    """Return one value a row of each file, read of one column; shapes (rows,)."""
    values: dict[ManifestFile, list[NDArray[np.int64]]] = {file: [] for file in files.files}
    for file, rows in _rows_of(s3, files, (column,)):
        values[file].append(_without_gaps(read(rows.columns[column]), file, column).to_numpy())
    return [np.concatenate(blocks) for blocks in values.values()]


def _no_groups(texts: pa.Array) -> pa.Array:
    return pa.array(np.zeros(len(texts), dtype=np.int8))


def _check_parts(labels: NDArray[np.int8], groups: NDArray[np.int64], names: Sequence[str]) -> None:
    """Refuse a split that leaves a part without rows, or without rows of a class.

    Raises:
        DataError: it does; the message tells the numbers.
    """
    for group, name in enumerate(names):
        sizes = np.bincount(labels[groups == group], minlength=len(PARTS)).tolist()
        if 0 in sizes:
            of = f" of the class {name}" if name else ""
            raise DataError(
                f"{sum(sizes)} rows{of} are too few to be in every part: {', '.join(map(str, sizes))} for "
                f"{', '.join(PARTS)}. Gather more of them, or choose another split in the model spec."
            )


def _without_gaps(values: pa.Array, file: ManifestFile, column: str) -> pa.Array:
    if values.null_count:
        raise DataError(
            f"{file.location}: a value in the column {column} is missing or unfit: check the file again."
        )
    return values


def _rows_of(s3: Any, files: FilesManifest, columns: Sequence[str]) -> Iterator[tuple[ManifestFile, Rows]]:
    """Yield the rows of all files in order, each with its file.

    Raises:
        DataError: a file is gone, or is not what the manifest says.
    """
    for file in files.files:
        with closing(open_object(s3, file.location, file.version_id)["Body"]) as body:
            problems = Problems()
            try:
                content = CsvFile(body)
                _check_header(file, content.header, columns)
                for rows in content.read(columns, problems):
                    if problems.count:
                        raise DataError(f"{file.location}, {problems.first[0]}. {_changed(file)}")
                    if content.rows > file.rows:
                        raise DataError(_changed(file))
                    yield file, rows
            except UnreadableError as error:
                raise DataError(f"{file.location}, {error}. {_changed(file)}") from error
            if (content.sha256, content.rows) != (file.sha256, file.rows):
                raise DataError(_changed(file))


def _check_header(file: ManifestFile, header: Sequence[str], columns: Sequence[str]) -> None:
    for name in columns:
        if name not in header:
            raise DataError(f"{file.location} has no column {name}. {_changed(file)}")


def _changed(file: ManifestFile) -> str:
    return (
        f"{file.location} is not what its manifest says (SHA-256 or rows): it was changed after it was "
        "checked. Drop it again."
    )

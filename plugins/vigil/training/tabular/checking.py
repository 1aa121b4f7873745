"""Checks a CSV that people dropped, before anything is trained on it: every problem by row and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import ClientError
from numpy.typing import NDArray

from vigil.aws import S3Location, error_code
from vigil.errors import DataError
from vigil.training.spec.data import Tabular
from vigil.training.tabular.cells import read_numbers, read_times, why_no_number
from vigil.training.tabular.csv_rows import CsvFile, Rows, UnreadableError
from vigil.training.tabular.encoding import Encoding, Number
from vigil.training.tabular.encoding_store import load_encoding, save_encoding
from vigil.training.tabular.problems import MOST_SHOWN, Problems, shown
from vigil.training.tabular.survey import Survey

MOST_BYTES = 5 * 1024**3
"""The largest file that is taken: what S3 takes in one piece."""

_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_HEADER_ROW = 1


@dataclass(frozen=True)
class CheckedFile:
    """A file that can be trained on.

    Attributes:
        rows: without the header.
        bytes: its size.
        sha256: of its content, in hex.
        columns: that its header names, in order.
        encoding: that it fits.
    """

    rows: int
    bytes: int
    sha256: str
    columns: tuple[str, ...]
    encoding: Encoding


def check_against_saved_encoding(
    s3: Any,
    file: S3Location,
    data: Tabular,
    saved: S3Location,
    *,
    version_id: str | None = None,
) -> CheckedFile:
    """Check a file against the encoding schema of its model; the first good file makes it.

    Args:
        s3: client.
        file: to read.
        data: of the model spec.
        saved: where the schema lies, or will, as `encoding_location` tells.
        version_id: of the file, in a bucket that keeps versions.

    Raises:
        UnusableFileError: the file does not fit; the error names what and where.
        DataError: there is no such file, or what lies at `saved` is no schema.
    """
    encoding = load_encoding(s3, saved)
    checked = check_file(s3, file, data, encoding, version_id=version_id)
    if encoding is None and (first := save_encoding(s3, saved, checked.encoding)) != checked.encoding:
        return check_file(s3, file, data, first, version_id=version_id)
    return checked


def check_file(
    s3: Any,
    file: S3Location,
    data: Tabular,
    encoding: Encoding | None,
    *,
    version_id: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> CheckedFile:
    """Read a file from front to end, in constant memory, and say whether a model can be trained on it.

    Args:
        s3: client.
        file: to read.
        data: of the model spec.
        encoding: that it must fit; None to make one of this file.
        version_id: of the file, in a bucket that keeps versions.
        most_bytes: a larger one is refused unread.

    Raises:
        UnusableFileError: the file does not fit; the error names what and where.
        DataError: there is no such file.
    """
    problems = Problems()
    answer = open_object(s3, file, version_id)
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] > most_bytes:
            reason = (
                f"it has {answer['ContentLength']} bytes, and {most_bytes} is the most that is taken: drop "
                "it in pieces"
            )
            problems.add(None, None, reason)
            problems.raise_if_any(str(file))
        try:
            content = CsvFile(body)
            _check_header(content.header, data, encoding, problems)
            problems.raise_if_any(str(file))
            fitting = (
                _rows_that_fit(content, data, encoding, problems)
                if encoding
                else _encoding_of_rows(content, data, problems)
            )
        except UnreadableError as error:
            problems.add(error.row, None, error.reason)
    problems.raise_if_any(str(file))
    return CheckedFile(content.rows, content.bytes, content.sha256, content.header, fitting)


def open_object(s3: Any, location: S3Location, version_id: str | None) -> dict[str, Any]:
    """Return an object, its content as a stream in `Body`.

    Raises:
        DataError: it is not there.
    """
    version = {"VersionId": version_id} if version_id else {}
    try:
        answer: dict[str, Any] = s3.get_object(Bucket=location.bucket, Key=location.key, **version)
    except ClientError as error:
        if error_code(error) not in ("NoSuchKey", "NoSuchVersion"):
            raise
        what = f"version {version_id} of {location}" if version_id else str(location)
        raise DataError(f"There is no {what}: was it moved or removed? Drop it again.") from error
    return answer


def _rows_that_fit(content: CsvFile, data: Tabular, encoding: Encoding, problems: Problems) -> Encoding:
    """Read all rows and note what does not fit the encoding schema; return it."""
    numbers = [column.name for column in encoding.columns if isinstance(column, Number)]
    for rows in _read(content, (*numbers, *_columns_with_a_use(data)), problems):
        _check_use(rows, data, problems)
        for name in numbers:
            _check_numbers(rows, name, problems)
        if encoding.classes:
            _check_classes(rows, encoding, problems)
    return encoding


def _encoding_of_rows(content: CsvFile, data: Tabular, problems: Problems) -> Encoding:
    """Read all rows and return the encoding schema that they make."""
    with_a_use = _columns_with_a_use(data)
    seen = [name for name in content.header if name not in (*with_a_use, *data.leave_out)]
    survey = Survey(data, seen)
    for rows in _read(content, (*seen, *with_a_use), problems):
        _check_use(rows, data, problems)
        survey.add(rows)
    return survey.encoding(problems)


def _read(content: CsvFile, columns: Sequence[str], problems: Problems) -> Iterator[Rows]:
    yield from content.read(columns, problems)
    if not content.rows:
        raise UnreadableError(_HEADER_ROW, "there is no whole row below it")


def _columns_with_a_use(data: Tabular) -> tuple[str, ...]:
    """Return the names of the columns that the model learns to predict, or that its rows are ordered by."""
    return (data.target, data.time_column) if data.time_column else (data.target,)


def _check_header(
    header: Sequence[str], data: Tabular, encoding: Encoding | None, problems: Problems
) -> None:
    if not header:
        problems.add(None, None, "it is empty: write the names of the columns into the first row")
        return
    if len(header) == 1:
        reason = (
            "it names one column only, and a model needs a target and something to tell it by: are the "
            "columns separated by commas?"
        )
        problems.add(_HEADER_ROW, None, reason)
        return
    if data.target not in header and any(_NUMBER.fullmatch(name) for name in header):
        reason = "it holds numbers, not names of columns: write the names into the first row"
        problems.add(_HEADER_ROW, None, reason)
        return
    _check_names(header, problems)
    _check_columns(header, data, encoding, problems)


def _check_names(header: Sequence[str], problems: Problems) -> None:
    for place, name in enumerate(header, start=1):
        if not name:
            problems.add(_HEADER_ROW, None, f"the column in place {place} has no name: give it one")
        elif not name.isprintable():
            problems.add(_HEADER_ROW, None, f"the name {shown(name)} cannot be printed: rename the column")
        elif name in header[: place - 1]:
            problems.add(_HEADER_ROW, name, "two columns have this name: rename one")


def _check_columns(
    header: Sequence[str], data: Tabular, encoding: Encoding | None, problems: Problems
) -> None:
    with_a_use = _columns_with_a_use(data)
    needed: tuple[str, ...] = (*with_a_use, *data.leave_out, *data.categorical)
    spare: tuple[str, ...] = tuple(header)
    if encoding:
        needed = (*with_a_use, *encoding.inputs)
        spare = (*data.leave_out, *encoding.constant)
    strangers = [name for name in header if name and name not in needed]
    for name in needed:
        if name not in header:
            reason = f"it is missing from the header{_nearest(name, strangers)}"
            problems.add(_HEADER_ROW, name, reason)
    missing = [name for name in needed if name not in header]
    for name in strangers:
        if name not in spare:
            reason = (
                f"the model does not know it{_nearest(name, missing or needed)}: take it out or rename it"
            )
            problems.add(_HEADER_ROW, name, reason)


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (is it {near[0]}?)" if near else ""


def _check_use(rows: Rows, data: Tabular, problems: Problems) -> None:
    """Check that each row has a target, and a time if there is a use for it."""
    for name in _columns_with_a_use(data):
        missing = np.flatnonzero(rows.columns[name].is_null())
        problems.add_all(rows.lines[missing], name, repeat("it has no value, and every row needs one"))
    if data.objective == "regression":
        _check_numbers(rows, data.target, problems)
    if data.time_column:
        texts = rows.columns[data.time_column]
        _, wrong = read_times(texts)
        reasons = (
            f"{shown(text)} is no time: write it as in 2026-01-31 or 2026-01-31T12:30:00Z"
            for text in _first_texts(texts, wrong)
        )
        problems.add_all(rows.lines[wrong], data.time_column, reasons)


def _check_numbers(rows: Rows, name: str, problems: Problems) -> None:
    texts = rows.columns[name]
    _, wrong = read_numbers(texts)
    problems.add_all(rows.lines[wrong], name, map(why_no_number, _first_texts(texts, wrong)))


def _check_classes(rows: Rows, encoding: Encoding, problems: Problems) -> None:
    texts = rows.columns[encoding.target]
    wrong = np.flatnonzero(pc.and_(encoding.labels(texts).is_null(), texts.is_valid()))
    known = ", ".join(encoding.classes)
    reasons = (
        f"{shown(text)} is none of the classes that the model knows: {known}"
        for text in _first_texts(texts, wrong)
    )
    problems.add_all(rows.lines[wrong], encoding.target, reasons)


def _first_texts(texts: pa.Array, places: NDArray[np.int64]) -> list[str]:
    found: list[str] = texts.take(pa.array(places[:MOST_SHOWN])).to_pylist()
    return found

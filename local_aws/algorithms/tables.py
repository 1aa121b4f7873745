"""Reads the tables that the built-in algorithms take: CSV with the label first, and libsvm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local_aws.algorithms.contract import UserError

Matrix = NDArray[np.float32]
CSV_TYPES = ("text/csv", "csv")
LIBSVM_TYPES = ("text/libsvm", "text/x-libsvm", "libsvm")


def read_csv(files: Iterable[Path]) -> Matrix:
    """Read headerless CSV files into one matrix; an empty field is missing."""
    parts = []
    for file in files:
        with file.open() as lines:
            try:
                part = parse_csv(lines)
            except ValueError as error:
                raise UserError(
                    f"Could not read {file.name} as CSV of numbers without a header: {error}"
                ) from error
        if part.size:
            parts.append(part)
    if len({part.shape[1] for part in parts}) > 1:
        raise UserError("The CSV files of a channel differ in their number of columns")
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def parse_csv(lines: Iterable[str]) -> Matrix:
    """Parse rows of numbers; an empty field is missing."""
    return np.loadtxt(_with_missing(lines), delimiter=",", dtype=np.float32, ndmin=2, comments=None)


def parse_libsvm(lines: Iterable[str], *, labelled: bool = True) -> tuple[NDArray[np.float32], Any]:
    """Parse rows of `label index:value ...` into labels and a sparse matrix."""
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    labels, values, columns, ends = [], [], [], [0]
    for line in lines:
        first, *fields = line.split() or [""]
        if not first:
            continue
        if labelled and ":" not in first:
            labels.append(float(first.split(":")[0]))
        else:
            labels.append(0.0)
            fields.insert(0, first)
        for field in fields:
            index, _, value = field.partition(":")
            columns.append(int(index))
            values.append(float(value))
        ends.append(len(columns))
    return np.array(labels, np.float32), csr_matrix((np.array(values, np.float32), columns, ends))


def _with_missing(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        stripped = line.strip()
        if ",," in stripped or stripped.startswith(",") or stripped.endswith(","):
            yield ",".join(field.strip() or "nan" for field in stripped.split(","))
        elif stripped:
            yield stripped

"""Batch Transform's choice of CSV columns: the part of JSONPath that the cloud allows for CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from local_aws.sagemaker.errors import client_error

Choose = Callable[[Sequence[str]], list[str]]
_SLICE = re.compile(r"\$\[(-?\d*):(-?\d*)\]")
_INDEXES = re.compile(r"\$\[(-?\d+(?:,-?\d+)*)\]")


def column_filter(path: str) -> Choose:
    """Compile `$`, `$[0]`, `$[0,2,-1]` or `$[3:]` to a choice of columns."""
    squeezed = path.replace(" ", "")
    if squeezed == "$":
        return list
    if match := _SLICE.fullmatch(squeezed):
        start, end = (int(bound) if bound else None for bound in match.groups())
        return lambda columns: list(columns[start:end])
    if match := _INDEXES.fullmatch(squeezed):
        indexes = [int(index) for index in match.group(1).split(",")]
        return lambda columns: _pick(columns, indexes, path)
    raise client_error(f"The filter {path} is not supported for text/csv")


def split_columns(line: str) -> list[str]:
    """Take a CSV line apart."""
    return next(csv.reader([line]), [])


def join_columns(columns: Sequence[str]) -> str:
    """Put a CSV line together."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(columns)
    return line.getvalue()


def _pick(columns: Sequence[str], indexes: Sequence[int], path: str) -> list[str]:
    try:
        return [columns[index] for index in indexes]
    except IndexError as error:
        raise client_error(
            f"The filter {path} asks for a column beyond the {len(columns)} there are"
        ) from error

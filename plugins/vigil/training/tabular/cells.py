"""What the text of a cell means: missing, a number, or a time. The same for training and for serving."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vigil.training.tabular.problems import shown

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""What counts as a missing value, after white space around it was taken away."""

_MISSING = pa.array(MISSING)
_NO_TEXT = pa.scalar(None, pa.string())
_NO_NUMBER = pa.scalar(None, pa.float64())
# What Arrow reads as a finite number; it takes a whole column or none of it, hence this for the single value.
_NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
_NOT_FINITE = r"^[-+]?(inf|infinity|nan)$"


def cleaned(texts: pa.Array) -> pa.Array:
    """Return texts without the white space around them, null where missing."""
    trimmed = pc.ascii_trim_whitespace(texts)
    return pc.if_else(pc.is_in(trimmed, _MISSING), _NO_TEXT, trimmed)


def read_numbers(texts: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Read finite numbers.

    Args:
        texts: n of them, as `cleaned` gives them.

    Returns:
        Numbers, null where there is none to read; and the places of texts that are not missing and yet no
        finite number.
    """
    try:
        numbers = pc.cast(texts, pa.float64())
    except pa.ArrowInvalid:
        looks_right = pc.match_substring_regex(texts, _NUMBER)
        numbers = pc.cast(pc.if_else(looks_right, texts, _NO_TEXT), pa.float64())
    numbers = pc.if_else(pc.is_finite(numbers), numbers, _NO_NUMBER)
    return numbers, _newly_null(numbers, texts)


def is_infinite(text: str) -> bool:
    """Tell whether a text that `read_numbers` refuses is a number after all, and not a finite one."""
    value = pa.scalar(text)
    return any(
        pc.match_substring_regex(value, form, ignore_case=True).as_py() for form in (_NUMBER, _NOT_FINITE)
    )


def why_no_number(text: str) -> str:
    """Return the reason why `read_numbers` refuses a text, for people."""
    return f"{shown(text)} is {'no finite number' if is_infinite(text) else 'no number'}"


def read_times(texts: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Read dates and times in ISO 8601; those without a zone are in UTC.

    Args:
        texts: n of them, as `cleaned` gives them.

    Returns:
        Microseconds since the epoch, null where there is no time to read; and the places of texts that are
        not missing and yet no time.
    """
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return pc.cast(pc.cast(texts, kind), pa.int64()), np.empty(0, dtype=np.int64)
        except pa.ArrowInvalid:
            continue
    times = pa.array([_time_of(text) for text in texts.to_pylist()], pa.int64())
    return times, _newly_null(times, texts)


def _time_of(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    since_epoch = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds


def _newly_null(values: pa.Array, texts: pa.Array) -> NDArray[np.int64]:
    if values.null_count == texts.null_count:
        return np.empty(0, dtype=np.int64)
    wrong: NDArray[np.int64] = np.flatnonzero(pc.and_(values.is_null(), texts.is_valid()))
    return wrong

"""Reads the numbers in a model's answer to one row, whatever the algorithm.

The evaluation job ships with this very file, so it uses the standard library alone, in the syntax of the
oldest Python among the job images.

Answers come as XGBoost writes them (`0.7`, `0.1,0.2,0.7` or `[0.1, 0.2, 0.7]`), or as the linear learner does
(`{"score": [0.1, 0.9], "predicted_label": 1}`, or the same numbers as CSV). Source: "Linear learner response
formats" in the SageMaker developer guide.
"""

from __future__ import annotations

import csv
import json
import math
from typing import Any

# A compact object is no CSV: its quotes and commas must not be read as such.
_OBJECT = ',{"'


def cut_line(line: str, columns: int) -> tuple[list[str], list[float]]:
    """Cut a line that Batch Transform has joined into what was asked and what was answered.

    Args:
        line: columns of the input and the answer behind them, as CSV.
        columns: how many there are of the input.

    Returns:
        The cells of the input, and the numbers of the answer as `numbers_of` gives them.

    Raises:
        ValueError: there is nothing behind the columns, or it is no answer.
    """
    answer = ""
    if line.endswith("}") and _OBJECT in line:
        line, brace, answer = line.rpartition(_OBJECT)
        answer = brace[1:] + answer
    cells = next(csv.reader([line]), []) if '"' in line else line.split(",")
    known = len(cells) + bool(answer)
    if known <= columns:
        raise ValueError(f"{known} columns, not {columns} and an answer")
    return cells[:columns], numbers_of(answer or ",".join(cells[columns:]))


def numbers_of(answer: str) -> list[float]:
    """Return the numbers of one answer, in the order of the CSV form: scores, then the label that was told.

    Args:
        answer: text, without the columns that were joined to it.

    Raises:
        ValueError: the answer holds no number, or one that is not finite.
    """
    text = answer.strip()
    try:
        numbers = _flat(json.loads(text)) if text.startswith(("{", "[")) else _from_csv(text)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"no number and no score in {answer!r}") from error
    if not numbers:
        raise ValueError(f"no number and no score in {answer!r}")
    for number in numbers:
        if not math.isfinite(number):
            raise ValueError(f"the answer is {number}")
    return numbers


def _from_csv(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _flat(content: Any) -> list[float]:
    if isinstance(content, list):
        return [number for part in content for number in _flat(part)]
    if isinstance(content, dict):
        if "predictions" in content:
            return _flat(content["predictions"])
        label = [float(content["predicted_label"])] if "predicted_label" in content else []
        return _flat(content["score"]) + label
    return [float(content)]

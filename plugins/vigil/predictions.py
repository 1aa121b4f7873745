"""How rows of features go to an endpoint, and how its answer is read, whatever the algorithm."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from vigil.errors import CloudError

CSV = "text/csv"


def request_body(rows: Iterable[Sequence[float]]) -> bytes:
    """Return rows of features as CSV, each number in the shortest text that reads back as the same."""
    return "\n".join(",".join(map(repr, map(float, row))) for row in rows).encode()


def predictions_of(body: bytes, content_type: str, rows: int) -> list[float]:
    """Read one number a row from an endpoint's answer.

    Args:
        body: XGBoost's numbers between commas or line ends, or the linear learner's JSON with a score each.
        content_type: of the answer.
        rows: that were asked about.

    Raises:
        CloudError: the answer is no such thing, has another length, or holds a number that is not finite.
    """
    numbers = _numbers(body, content_type)
    if len(numbers) != rows:
        raise CloudError(f"The endpoint answered {len(numbers)} predictions to {rows} rows: {_front(body)}.")
    return numbers


def answers_of(body: bytes, content_type: str, rows: int) -> list[tuple[float, ...]]:
    """Read the numbers of each row from an endpoint's answer: one, or several when classes have one each.

    Args:
        body: as `predictions_of` takes it.
        content_type: of the answer.
        rows: that were asked about, one at least.

    Raises:
        CloudError: the answer is no such thing, cannot be shared out to the rows, or holds a number that is
            not finite.
    """
    numbers = _numbers(body, content_type)
    width, rest = divmod(len(numbers), rows)
    if rest or not width:
        raise CloudError(f"The endpoint answered {len(numbers)} numbers to {rows} rows: {_front(body)}.")
    return [tuple(numbers[start : start + width]) for start in range(0, len(numbers), width)]


def _numbers(body: bytes, content_type: str) -> list[float]:
    text = body.decode()
    try:
        numbers = _from_json(text) if "json" in content_type else _from_csv(text)
    except (ValueError, KeyError, TypeError) as error:
        raise CloudError(
            f"The endpoint answered {content_type} that holds no predictions ({error!r}): {_front(body)}. "
            "Does its image fit the model?"
        ) from error
    if not all(map(math.isfinite, numbers)):
        raise CloudError(f"The endpoint answered a prediction that is no finite number: {_front(body)}.")
    return numbers


def _front(body: bytes) -> str:
    return repr(body.decode()[:200])


def _from_csv(text: str) -> list[float]:
    return [float(number) for number in re.split(r"[,\s\[\]]+", text.strip("[] \r\n"))]


def _from_json(text: str) -> list[float]:
    content: Any = json.loads(text)
    answers = content["predictions"] if isinstance(content, dict) else content
    scores = [answer["score"] if isinstance(answer, dict) else answer for answer in answers]
    return [float(number) for score in scores for number in (score if isinstance(score, list) else [score])]

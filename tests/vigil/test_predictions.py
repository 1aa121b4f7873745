from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.errors import CloudError
from vigil.predictions import predictions_of, request_body

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_model_reads_the_very_numbers_that_were_sent(rows: list[list[float]]) -> None:
    lines = request_body(rows).decode().split("\n")
    assert [[float(text) for text in line.split(",")] for line in lines] == rows


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"1.5\n2\n", "text/csv; charset=utf-8"),
        (b"1.5,2", "text/csv"),
        (b'{"predictions": [{"score": 1.5}, {"score": 2}]}', "application/json"),
        (b"[1.5, 2]", "application/json"),
    ],
)
def test_the_answers_of_all_algorithms_are_read(body: bytes, content_type: str) -> None:
    assert predictions_of(body, content_type, 2) == [1.5, 2.0]


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"1,2,3", "text/csv", "3 predictions to 2 rows"),
        (b"1", "text/csv", "1 predictions to 2 rows"),
        (b"1,nan", "text/csv", "no finite number"),
        (b"1,inf", "text/csv", "no finite number"),
        (b"", "text/csv", "holds no predictions"),
        (b"<html>", "text/csv", "holds no predictions"),
        (b'{"error": 1}', "application/json", "holds no predictions"),
        (b'{"predictions": [{"label": 1}]}', "application/json", "holds no predictions"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told_apart(body: bytes, content_type: str, message: str) -> None:
    with pytest.raises(CloudError, match=message):
        predictions_of(body, content_type, 2)

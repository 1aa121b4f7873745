from __future__ import annotations

import pytest

from vigil.answers import cut_line, numbers_of


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("0.7", [0.7]),
        ("[0.7]", [0.7]),
        ("0.1,0.2,0.7", [0.1, 0.2, 0.7]),
        ("[0.1, 0.2, 0.7]", [0.1, 0.2, 0.7]),
        ('{"score": 4.0}', [4.0]),
        ('{"score": 4.0, "x": [1, 2]}', [4.0]),
        ('{"predictions": [{"score": 0.4, "predicted_label": 0}]}', [0.4, 0]),
        ('{"predicted_label": 2, "score": [0.1, 0.2, 0.7]}', [0.1, 0.2, 0.7, 2]),
    ],
)
def test_the_answers_of_all_algorithms_become_numbers(answer: str, numbers: list[float]) -> None:
    assert numbers_of(answer) == numbers


@pytest.mark.parametrize(
    "answer", ["", "soon", "[]", '{"label": 1}', "{", '{"score": "high"}', "[null]", "0.1,"]
)
def test_what_is_no_answer_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="no number and no score"):
        numbers_of(answer)


@pytest.mark.parametrize("answer", ["nan", "inf", "0.1,-inf", '{"score": NaN}'])
def test_an_answer_that_is_not_finite_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="the answer is"):
        numbers_of(answer)


@pytest.mark.parametrize(
    ("line", "cells", "numbers"),
    [
        ("6,a,0.5,4.0", ["6", "a", "0.5"], [4.0]),
        ("6,a,,0.1,0.9", ["6", "a", ""], [0.1, 0.9]),
        ('6,"a ""b"", {c",0.5,"[0.1, 0.9]"', ["6", 'a "b", {c', "0.5"], [0.1, 0.9]),
        ('6,a,0.5,{"score":[0.1,0.9],"predicted_label":1}', ["6", "a", "0.5"], [0.1, 0.9, 1]),
        ('6,",{""a",0.5,{"score": 4.0}', ["6", ',{"a', "0.5"], [4.0]),
        ('6,a,0.5,"{""score"": 4.0}"', ["6", "a", "0.5"], [4.0]),
    ],
)
def test_a_joined_line_is_cut_behind_its_columns(line: str, cells: list[str], numbers: list[float]) -> None:
    assert cut_line(line, 3) == (cells, numbers)


@pytest.mark.parametrize("line", ["6,a,0.5", "6,a", '6,a,{"score": 4.0}'])
def test_a_line_without_an_answer_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="columns, not 3 and an answer"):
        cut_line(line, 3)

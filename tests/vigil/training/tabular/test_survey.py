from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vigil.training.tabular.csv_tables import surveyed, table, tabular_data
from vigil.training.tabular import survey
from vigil.training.tabular.encoding import Category, Encoding, Number


def survey_of(*columns: list[object], y: list[object] | None = None, **changes: Any) -> Encoding:
    encoding, problems = problems_of(*columns, y=y, **changes)
    assert not problems, problems
    return encoding


def problems_of(
    *columns: list[object], y: list[object] | None = None, **changes: Any
) -> tuple[Encoding, list[str]]:
    """Survey columns `a`, `b` and so on, with a target of two classes in turn."""
    rows = len(columns[0])
    target = y or [("no", "yes")[row % 2] for row in range(rows)]
    header = [*"abcdefgh"[: len(columns)], "y"]
    encoding, problems = surveyed(
        table(header, list(zip(*columns, target, strict=True))), tabular_data(**changes)
    )
    assert problems.count == len(problems.first)
    return encoding, [str(problem) for problem in problems.first]


def test_numbers_and_categories_are_told_apart() -> None:
    encoding = survey_of([1, "2.5", "-1e3"], ["true", "false", "true"], ["1x", "x", "2x"])
    assert encoding.columns == (
        Number("a", 1, False),
        Category("b", ("false", "true")),
        Category("c", ("1x", "2x", "x")),
    )


def test_numbers_that_are_names_are_categories_if_the_spec_says_so() -> None:
    encoding = survey_of([10, 9, 10], categorical=("a",))
    assert encoding.columns == (Category("a", ("10", "9")),)


def test_what_is_the_same_in_all_rows_is_left_out_and_named() -> None:
    encoding = survey_of([1, 2], ["x", "x"], ["", ""], [3, 3], [3, ""])
    assert encoding.constant == ("b", "c", "d")
    assert encoding.columns == (Number("a", 1.5, False), Number("e", 3, True))


def test_too_many_categories_are_refused_by_name_with_the_way_out() -> None:
    names = [f"name {row}" for row in range(6)]
    _, problems = problems_of([1, 2, 3] * 2, names, most_categories=5)
    (problem,) = problems
    assert problem.startswith("column b: it has more than 5 categories")
    assert "data.leave_out" in problem


@pytest.mark.parametrize("most_categories", [5, 100])
def test_a_column_of_numbers_with_one_text_is_told_which(most_categories: int) -> None:
    mixed = [1, 2, 3, 4, "five", 6, 7]
    _, problems = problems_of(mixed, most_categories=most_categories)
    (problem,) = problems
    assert problem.startswith("row 6, column a: 'five' is no number, and others in the column are")
    named = survey_of(mixed, categorical=("a",))
    assert named.columns == (Category("a", ("1", "2", "3", "4", "6", "7", "five")),)


def test_numbers_may_be_as_many_as_they_are() -> None:
    assert survey_of(list(range(50)), most_categories=5).columns == (Number("a", 24.5, False),)


def test_an_infinite_number_is_named() -> None:
    _, problems = problems_of([1, "inf", "-Infinity", 4])
    assert problems == [
        "row 3, column a: 'inf' is no finite number",
        "row 4, column a: '-Infinity' is no finite number",
    ]


def test_a_word_that_means_infinity_among_words_is_a_word() -> None:
    assert survey_of(["inf", "sup", "inf"]).columns == (Category("a", ("inf", "sup")),)


@pytest.mark.parametrize(
    ("changes", "y", "classes"),
    [
        ({}, ["no", "yes"], ("no", "yes")),
        ({}, [1, 0], ("0", "1")),
        ({"positive": "bad"}, ["good", "bad"], ("good", "bad")),
        ({"objective": "multiclass"}, ["c", "a", "b"], ("a", "b", "c")),
        ({"objective": "regression"}, [1, 2], ()),
    ],
)
def test_classes_are_sorted_and_the_positive_one_is_last(
    changes: dict[str, Any], y: list[object], classes: tuple[str, ...]
) -> None:
    assert survey_of(list(range(len(y))), y=y, **changes).classes == classes


@pytest.mark.parametrize(
    ("changes", "y", "message"),
    [
        ({}, ["a", "b", "c"], "binary target has two classes, and this one has 3: 'a', 'b', 'c'"),
        ({}, ["a", "a", "a"], "binary target has two classes, and this one has 1: 'a'"),
        ({"objective": "multiclass"}, ["a", "a", "a"], "two or more classes, and this one has 1"),
        ({"positive": "yes"}, ["no", "Yes", "no"], "no row is 'yes', which the model spec names as positive"),
        ({"most_categories": 2, "objective": "multiclass"}, [1.5, 2.5, 3.5], "the objective is regression"),
    ],
)
def test_a_target_that_does_not_fit_the_objective_is_refused(
    changes: dict[str, Any], y: list[object], message: str
) -> None:
    _, problems = problems_of([1, 2, 3], y=y, **changes)
    (problem,) = problems
    assert problem.startswith("column y: ")
    assert message in problem


def test_a_table_without_anything_to_learn_from_is_refused() -> None:
    _, problems = problems_of([1, 1, 1])
    assert problems == ["no column but the target has two different values"]


def test_two_features_of_one_name_are_refused() -> None:
    content = table(["a", "a=x", "y"], [["x", 1, "no"], ["z", 2, "yes"]])
    _, problems = surveyed(content, tabular_data())
    assert [str(problem) for problem in problems.first] == [
        "two features would be called a=x: rename one of the columns"
    ]


@given(st.integers(0, 5))
def test_the_median_of_few_rows_is_exact_and_of_many_is_near(seed: int) -> None:
    draws = np.random.default_rng(seed).normal(size=2_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "SAMPLED_ROWS", 2_000)
        (exact,) = survey_of(draws.tolist()).columns
        patch.setattr(survey, "SAMPLED_ROWS", 500)
        (near,) = survey_of(draws.tolist()).columns
    assert isinstance(exact, Number)
    assert isinstance(near, Number)
    assert exact.median == np.median(draws)
    # Five standard errors of the rank of a median of 500.
    assert abs(np.mean(draws < near.median) - 0.5) < 5 * 0.5 / np.sqrt(500)

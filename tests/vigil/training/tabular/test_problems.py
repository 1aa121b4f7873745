from __future__ import annotations

import pickle

import numpy as np
import pytest

from vigil.errors import DataError
from vigil.training.tabular.problems import (
    MOST_SHOWN,
    Problem,
    Problems,
    UnusableFileError,
    problems_report,
    shown,
)


def test_all_problems_are_counted_and_the_first_rows_are_kept() -> None:
    problems = Problems()
    problems.add_all(np.arange(1000, 1300), "late", map(str, range(300)))
    problems.add_all(np.arange(2, 502), "early", map(str, range(500)))
    problems.add(None, None, "of the whole file")
    assert problems.count == 801
    assert len(problems.first) == MOST_SHOWN
    assert problems.first[0] == Problem(None, None, "of the whole file")
    assert [problem.row for problem in problems.first[1:]] == list(range(2, MOST_SHOWN + 1))


def test_a_file_without_problems_is_not_refused() -> None:
    Problems().raise_if_any("file")


def test_the_error_names_the_first_problem_and_how_many_more() -> None:
    problems = Problems()
    problems.add(17, "age", "'old' is no number")
    problems.add(18, "age", "'new' is no number")
    with pytest.raises(
        DataError, match=r"^a.csv cannot be used: row 17, column age: 'old' is no number. And 1 more"
    ):
        problems.raise_if_any("a.csv")


def test_the_error_survives_the_way_from_one_process_to_another() -> None:
    error = UnusableFileError("a.csv", [Problem(2, "b", "wrong")], 3)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert (str(copy), copy.file, copy.problems, copy.count) == (str(error), "a.csv", error.problems, 3)


def test_the_report_says_row_and_column_and_how_many_are_not_shown() -> None:
    report = problems_report(
        UnusableFileError("a.csv", [Problem(2, "b", "wrong"), Problem(None, None, "bad")], 9)
    )
    assert "# a.csv was not used" in report
    assert "9 problems found" in report
    assert "| 2 | b | wrong |" in report
    assert "|  |  | bad |" in report
    assert "The first 2 are shown." in report


def test_the_report_shows_a_strangers_text_as_text() -> None:
    hostile = "<img src=x>|[link](http://x)\n# title `code`"
    report = problems_report(UnusableFileError("a.csv", [Problem(2, "b|c", hostile)], 1))
    row = report.splitlines()[-1]
    assert row.count(" | ") == 2
    assert r"b\|c" in row
    assert r"\<img src=x\>\|\[link\](http://x) \# title \`code\`" in row


def test_a_long_value_is_cut() -> None:
    assert shown("x" * 40) == repr("x" * 40)
    assert shown("x" * 41) == repr("x" * 40 + "…")

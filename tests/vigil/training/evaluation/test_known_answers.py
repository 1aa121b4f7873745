from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.vigil.training.test_request import dataset_of, run_of
from vigil.errors import DataError
from vigil.smoke_tests import SmokeTest
from vigil.training.dataset import Dataset
from vigil.training.evaluation.known_answers import (
    SMOKE_TEST,
    read_smoke_test,
    save_smoke_test,
    smoke_test_of,
)
from vigil.training.request import TrainingRun


@pytest.fixture
def run(bucket: str) -> TrainingRun:
    return replace(run_of(), bucket=bucket)


@pytest.fixture
def table(run: TrainingRun) -> Dataset:
    return replace(
        dataset_of(run), objective="multiclass", keys=("row",), features=("x", "y"), classes=("a", "b", "c")
    )


def put(s3: Any, run: TrainingRun, heldout: str, told: str) -> None:
    for place, text in (
        (run.dataset / "heldout/test.csv", heldout),
        (run.candidate_predictions / "test.csv.out", told),
    ):
        s3.put_object(Bucket=place.bucket, Key=place.key, Body=text.encode())


HELDOUT = "0,f.csv:1,0.5,1.5\n2,f.csv:2,-1.0,2.5\n1,f.csv:3,0.0,3.5\n"


@pytest.mark.parametrize(
    ("told", "answers"),
    [
        (("0", "2.0"), ((0.0,), (2.0,))),
        (("0.1,0.2,0.7", "[0.2, 0.3, 0.5]"), ((0.1, 0.2, 0.7), (0.2, 0.3, 0.5))),
        (
            ('{"score":[0.7,0.2,0.1],"predicted_label":0}', "0.1,0.2,0.7,2"),
            ((0.7, 0.2, 0.1, 0.0), (0.1, 0.2, 0.7, 2.0)),
        ),
    ],
)
def test_the_first_rows_come_with_the_candidates_own_answers(
    s3: Any, run: TrainingRun, table: Dataset, told: tuple[str, str], answers: tuple[tuple[float, ...], ...]
) -> None:
    rows = HELDOUT.splitlines()
    put(s3, run, HELDOUT, "".join(f"{row},{answer}\n" for row, answer in zip(rows, told, strict=False)))
    assert smoke_test_of(s3, run, table, rows=2) == SmokeTest(((0.5, 1.5), (-1.0, 2.5)), answers)


def test_a_regressions_answer_stands_behind_its_keys(s3: Any, run: TrainingRun) -> None:
    counts = replace(dataset_of(run), features=("x", "y"))
    put(
        s3,
        run,
        '6,"a, b",2026-01-05T00:00:00,0.5,1.5\n',
        '6,"a, b",2026-01-05T00:00:00,4.25\n',
    )
    assert smoke_test_of(s3, run, counts) == SmokeTest(((0.5, 1.5),), ((4.25,),))


def test_of_large_files_only_whole_lines_in_the_front_are_read(
    s3: Any, run: TrainingRun, table: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vigil.training.evaluation.known_answers._FRONT_BYTES", len(HELDOUT) - 2)
    put(s3, run, HELDOUT, "".join(f"{row},1\n" for row in HELDOUT.splitlines()))
    assert smoke_test_of(s3, run, table).rows == ((0.5, 1.5), (-1.0, 2.5))
    monkeypatch.setattr("vigil.training.evaluation.known_answers._FRONT_BYTES", 5)
    with pytest.raises(DataError, match="share no whole line in their first 5 bytes"):
        smoke_test_of(s3, run, table)


def test_answers_to_other_rows_are_refused(s3: Any, run: TrainingRun, table: Dataset) -> None:
    put(s3, run, HELDOUT, "0,other.csv:1,0.5,1.5,1\n")
    with pytest.raises(
        DataError, match=r"Line 1 of .*test\.csv\.out answers .*was the data set written anew"
    ):
        smoke_test_of(s3, run, table)


def test_what_is_no_answer_is_named_by_its_line(s3: Any, run: TrainingRun, table: Dataset) -> None:
    put(s3, run, HELDOUT, "0,f.csv:1,0.5,1.5,1\n2,f.csv:2,-1.0,2.5,soon\n")
    with pytest.raises(
        DataError, match=r"Line 2 of .* is not as it must be: no number and no score in 'soon'"
    ):
        smoke_test_of(s3, run, table)


def test_a_missing_file_is_named(s3: Any, run: TrainingRun, table: Dataset) -> None:
    with pytest.raises(DataError, match=r"heldout/test\.csv is missing"):
        smoke_test_of(s3, run, table)
    with pytest.raises(DataError, match=r"smoke-test\.json is missing"):
        read_smoke_test(s3, run.root / SMOKE_TEST)


def test_a_smoke_test_is_kept_on_s3(s3: Any, run: TrainingRun) -> None:
    test = SmokeTest(((0.1, 1e-30),), ((0.30000000000000004, 1.0),))
    save_smoke_test(s3, run.root / SMOKE_TEST, test)
    assert read_smoke_test(s3, run.root / SMOKE_TEST) == test

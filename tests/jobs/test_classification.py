"""Metrics of classes, against cases computed by hand and against each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classification import against_the_rest, confusion_of, metrics_of, told_of
from failure import UnusableError
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.processing_job import Job

confusions = st.integers(2, 5).flatmap(
    lambda classes: st.lists(
        st.lists(st.integers(0, 50), min_size=classes, max_size=classes), min_size=classes, max_size=classes
    )
)


def job_of(folder: Path, classes: list[str], features: int = 2) -> Job:
    objective = "binary" if len(classes) == 2 else "multiclass"
    return Job(folder, objective=objective, keys=["row"], features=features, classes=classes)


def lines(labels: list[int], answers: list[Any]) -> list[list[Any]]:
    """Return joined lines of rows with two features."""
    return [
        [label, f"f,{place}.csv:1", 0.5, "", *(answer if isinstance(answer, list) else [answer])]
        for place, (label, answer) in enumerate(zip(labels, answers, strict=True))
    ]


def test_the_authors_own_example_of_the_old_system(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["no", "yes"])
    labels, told = [0] * 3636 + [1] * 483, [0.1] * 3583 + [0.9] * 53 + [0.2] * 382 + [0.8] * 101
    job.predict("candidate", "test", lines(labels, told))
    evaluation = job.evaluated()
    metrics = evaluation["candidate"]["metrics"]
    assert {name: round(value, 3) for name, value in metrics.items() if name != "auc"} == {
        "accuracy": 0.894,
        "precision": 0.656,
        "recall": 0.209,
        "f1": 0.317,
        "specificity": 0.985,
    }
    assert evaluation["candidate"]["confusion"] == [[3583, 53], [382, 101]]
    assert evaluation["rows"] == {"test": 4119}
    assert evaluation["confidence"] is None
    assert job.read("pictures")["confusion"] == {
        "classes": ["no", "yes"],
        "counts": [[3583, 53], [382, 101]],
        "left_out": 0,
    }
    assert not (job.output / "band.json").exists()
    for name, value in metrics.items():
        metric = evaluation["binary_classification_metrics"][name]
        assert metric["value"] == value
        assert 0 < metric["standard_deviation"] < 0.05


def test_two_classes_by_hand(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["no", "yes"])
    # One of the three pairs with the first negative is a tie.
    job.predict("candidate", "test", lines([0, 0, 1, 1, 1], [0.6, 0.1, 0.6, 0.9, 0.4]))
    metrics = job.evaluated()["candidate"]["metrics"]
    assert metrics == pytest.approx(
        {
            "accuracy": 3 / 5,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
            "specificity": 1 / 2,
            "auc": (0.5 + 1 + 0 + 3) / 6,
        }
    )


def test_several_classes_by_hand_and_one_that_never_appears(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["a", "b", "c", "never"])
    answers = [
        [0.7, 0.2, 0.1, 0.0],  # a told a
        [0.3, 0.6, 0.1, 0.0],  # a told b
        [0.1, 0.8, 0.1, 0.0],  # b told b
        [0.2, 0.3, 0.5, 0.0],  # c told c
        [0.2, 0.5, 0.3, 0.0],  # c told b
    ]
    job.predict("candidate", "test", lines([0, 0, 1, 2, 2], answers))
    evaluation = job.evaluated()
    candidate = evaluation["candidate"]
    assert candidate["confusion"] == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert candidate["by_class"]["b"] == pytest.approx(
        {
            "accuracy": 3 / 5,
            "precision": 1 / 3,
            "recall": 1,
            "f1": 1 / 2,
            "specificity": 1 / 2,
            "auc": 1,
            "rows": 1,
        }
    )
    assert candidate["by_class"]["never"] == {
        "accuracy": 1,
        "precision": None,
        "recall": None,
        "f1": None,
        "specificity": 1,
        "auc": None,
        "rows": 0,
    }
    assert candidate["metrics"] == pytest.approx(
        {
            "accuracy": 3 / 5,
            "precision": (1 + 1 / 3 + 1) / 3,
            "recall": (1 / 2 + 1 + 1 / 2) / 3,
            "f1": (2 / 3 + 1 / 2 + 2 / 3) / 3,
            "specificity": (1 + 1 / 2 + 1 + 1) / 4,
            "auc": (1 + 1 + 1) / 3,
        }
    )
    assert list(evaluation["multiclass_classification_metrics"]) == list(candidate["metrics"])


def test_what_is_never_told_positive_has_no_precision(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["no", "yes"])
    job.predict("candidate", "test", lines([0, 1], [0.1, 0.2]))
    evaluation = job.evaluated()
    assert evaluation["candidate"]["metrics"]["precision"] is None
    assert evaluation["candidate"]["metrics"]["f1"] == 0
    assert evaluation["binary_classification_metrics"]["precision"] == {
        "value": None,
        "standard_deviation": None,
    }


@pytest.mark.parametrize(
    ("classes", "answers"),
    [
        (2, [0.2, 0.9, 0.7]),
        (2, ["[0.2]", "[0.9]", "[0.7]"]),
        (2, [[0.8, 0.2], [0.1, 0.9], [0.3, 0.7]]),
        (2, [[0.2, 0], [0.9, 1], [0.7, 1]]),
        (
            2,
            [
                '{"score": 0.2, "predicted_label": 0}',
                '{"score": 0.9, "predicted_label": 1}',
                '{"predicted_label": 1, "score": 0.7}',
            ],
        ),
        (3, ["0.0", "2.0", "1"]),
        (3, ["[0.9, 0.1, 0.0]", "[0.1, 0.1, 0.8]", "[0.1, 0.8, 0.1]"]),
        (3, [[0.9, 0.1, 0.0, 0], [0.1, 0.1, 0.8, 2], [0.1, 0.8, 0.1, 1]]),
    ],
)
def test_the_answers_of_all_algorithms_tell_the_same(
    tmp_path: Path, classes: int, answers: list[Any]
) -> None:
    job = job_of(tmp_path, ["a", "b", "c"][:classes])
    job.predict("candidate", "test", lines([0, classes - 1, 1], answers))
    candidate = job.evaluated()["candidate"]
    assert candidate["metrics"]["accuracy"] == 1
    without_scores = isinstance(answers[0], str) and answers[0] == "0.0"
    assert candidate["metrics"]["auc"] == (None if without_scores else 1)


def test_candidate_and_champion_are_compared_on_the_same_rows(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["no", "yes"])
    job.configure(champion={"model_version": "small/1"})
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 2, 400).tolist()
    good = [0.9 * label + 0.1 * generator.random() for label in labels]
    poor = [0.1 * label + 0.9 * generator.random() for label in labels]
    job.predict("candidate", "test", lines(labels, good))
    job.predict("champion", "test", lines(labels, poor))
    evaluation = job.evaluated()
    assert evaluation["champion"]["model_version"] == "small/1"
    assert evaluation["champion"]["metrics"]["auc"] < evaluation["candidate"]["metrics"]["auc"] == 1
    assert set(evaluation["confidence"].values()) == {1.0}
    job.predict("champion", "test", lines(labels, good))
    assert set(job.evaluated()["confidence"].values()) == {0.0}


def test_a_champion_on_rows_with_other_labels_is_refused(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["no", "yes"])
    job.configure(champion={"model_version": "small/1"})
    job.predict("candidate", "test", lines([0, 1], [0.1, 0.9]))
    job.predict("champion", "test", lines([0, 0], [0.1, 0.9]))
    assert "champion/test.csv.out is not about the rows of" in job.refused()


@pytest.mark.parametrize(
    ("classes", "labels", "answers", "message"),
    [
        (2, [2], [0.5], "the label 2 is no class: it must be a whole number from 0 to 1"),
        (2, [0.5], [0.5], "the label 0.5 is no class"),
        (2, [0], [1.5], "the model answers 1.5, which is no probability"),
        (2, [0], [[0.1, 0.2, 0.7]], "the model answers 3 numbers a row"),
        (2, [0], [[3.0, 4.0]], "neither a probability, nor two, nor a score and a label"),
        (3, [0], [3], "the model tells the class 3, and there are 3, counted from 0"),
        (3, [0], [0.4], "the model tells the class 0.4"),
        (3, [0], [[0.1, 0.9]], "the model answers 2 numbers a row, and there are 3 classes"),
        (3, [0, 0], [[0.1, 0.2, 0.7], [1]], "line 2: 1 numbers in the answer, 3 in the lines before"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, classes: int, labels: list[int], answers: list[Any], message: str
) -> None:
    job = job_of(tmp_path, ["a", "b", "c"][:classes])
    job.predict("candidate", "test", lines(labels, answers))
    assert message in job.refused()


def test_of_many_classes_pictures_show_the_most_frequent(tmp_path: Path) -> None:
    classes = [f"class {place}" for place in range(40)]
    job = job_of(tmp_path, classes)
    labels = [place for place in range(40) for _ in range(1 + place)]
    job.predict("candidate", "test", lines(labels, np.eye(40)[labels].tolist()))
    pictures = job.evaluated() and job.read("pictures")
    assert pictures["confusion"]["classes"] == classes[10:]
    assert pictures["confusion"]["left_out"] == 10
    assert [curve["class"] for curve in pictures["roc"][0]] == classes[-8:]


@given(confusions)
def test_macro_is_the_mean_of_the_classes_where_it_is_defined(counts: list[list[int]]) -> None:
    confusion = np.array(counts)
    macro = metrics_of(confusion, "multiclass")
    for name, values in against_the_rest(confusion).items():
        defined = [value for value in values if not math.isnan(value)]
        if name != "accuracy":
            expected = sum(defined) / len(defined) if defined else math.nan
            assert macro[name] == pytest.approx(expected, nan_ok=True)


@given(confusions)
def test_every_metric_follows_from_the_four_cells_of_one_against_the_rest(counts: list[list[int]]) -> None:
    confusion = np.array(counts)
    metrics = against_the_rest(confusion)
    for place in range(len(confusion)):
        hit = confusion[place, place]
        missed, false = confusion[place].sum() - hit, confusion[:, place].sum() - hit
        rest = confusion.sum() - hit - missed - false
        for name, over, under in (
            ("accuracy", hit + rest, confusion.sum()),
            ("precision", hit, hit + false),
            ("recall", hit, hit + missed),
            ("f1", 2 * hit, 2 * hit + false + missed),
            ("specificity", rest, rest + false),
        ):
            expected = over / under if under else math.nan
            assert metrics[name][place] == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60), st.randoms())
def test_the_order_of_rows_changes_nothing(rows: list[tuple[int, int]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = (confusion_of(*np.array(order).T, 4) for order in (rows, shuffled))
    assert np.array_equal(one, other)
    assert one.sum() == len(rows)


def test_half_a_probability_is_not_told_positive() -> None:
    told, _ = told_of(np.array([[0.5], [0.5000001]]), 2, "binary")
    assert told.tolist() == [0, 1]
    with pytest.raises(UnusableError):
        told_of(np.array([[-0.1]]), 2, "binary")

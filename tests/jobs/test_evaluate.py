"""The evaluation script as SageMaker runs it: a process of its own, a part of the package beside it."""

from __future__ import annotations

import ast
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from regression import metrics_of

from tests.jobs.processing_job import Job
from tests.vigil.detection.doubles import calibration_of
from vigil.anscombe import counts_of, stabilised
from vigil.bands import Band
from vigil.calibration import SeriesWindows, calibrate_windows
from vigil.count_bands import CountBand
from vigil.paths import jobs_dir
from vigil.training.evaluation.job import job_files

OLDEST_PYTHON = (3, 7)
SCRIPT = jobs_dir() / "evaluate.py"
ALLOWED = {"__future__", "argparse", "array", "csv", "hashlib", "json", "math", "os", "sys"}
ALLOWED |= {"collections.abc", "dataclasses", "typing", "numpy", "numpy.typing"}
BUILTIN_GENERICS = {"dict", "frozenset", "list", "set", "tuple", "type"}
# On the Anscombe scale its bounds lie 2 below and 3 above what is expected.
CHAMPIONS = replace(calibration_of(), band=CountBand(0.9, -2.0, 3.0, {}, (1.0, 1.0)))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(
        tmp_path,
        objective="regression",
        keys=["series", "window_start"],
        features=0,
        classes=[],
        coverage=0.9,
        windows=True,
    )
    job.predict("candidate", "validation", calibration())
    return job


def window(number: int) -> str:
    return f"2026-01-05T{number // 12:02d}:{number % 12 * 5:02d}:00"


def calibration() -> list[tuple[object, ...]]:
    """Counts around 4 that make a band of 1 to 9 for 4 expected events, at a coverage of 0.9."""
    observed = [1, *[4] * 17, 9]
    return [(count, "a", window(number), 4.0) for number, count in enumerate(observed)]


TEST = [
    (6, "a", window(0), 4.0),  # error -2, inside
    (10, "a", window(1), 4.0),  # error -6, above
    (2, "b", window(0), 4.0),  # error 2, inside
    (3, "b", window(1), 4.0),  # error 1, inside
]


def test_metrics_of_a_case_computed_by_hand(job: Job) -> None:
    job.predict("candidate", "test", TEST)
    evaluation = job.evaluated()
    metrics = evaluation["candidate"]["metrics"]
    assert metrics["mae"] == pytest.approx((2 + 6 + 2 + 1) / 4)
    assert metrics["rmse"] == pytest.approx(math.sqrt((4 + 36 + 4 + 1) / 4))
    assert metrics["wape"] == pytest.approx(11 / 21)
    assert metrics["bias"] == pytest.approx((-2 - 6 + 2 + 1) / 4)
    assert metrics["coverage"] == pytest.approx(3 / 4)
    assert evaluation["rows"] == {"validation": 19, "test": 4}
    assert evaluation["test_period"] == {"first": window(0), "last": window(1)}


def test_metrics_of_each_series(job: Job) -> None:
    job.predict("candidate", "test", TEST)
    by_series = job.evaluated()["candidate"]["by_series"]
    assert by_series["a"] == pytest.approx(
        {"rows": 2, "mae": 4, "rmse": math.sqrt(20), "wape": 8 / 16, "bias": -4, "coverage": 0.5}
    )
    assert by_series["b"]["coverage"] == 1
    assert by_series["b"]["bias"] == 1.5


def test_the_calibration_is_drawn_from_the_validation_part_alone(job: Job) -> None:
    observed = np.array([float(row[0]) for row in calibration()])
    first = 1_767_571_200 // 300  # 2026-01-05 00:00 UTC
    windows = SeriesWindows("a", first, observed, np.full(len(observed), 4.0))
    drawn = calibrate_windows([windows], 0.9).to_json()
    for test in (TEST, TEST[:1]):
        job.predict("candidate", "test", test)
        job.evaluated()
        assert job.band().to_json() == drawn
    # Of 19 windows one lies in each tail, and bounds the band.
    panel = job.read("pictures")["band"][0]
    assert (panel["lower"][0], panel["upper"][0]) == pytest.approx((1, 9))


def test_each_series_is_judged_by_its_own_time_and_rows_may_come_in_any_order(job: Job) -> None:
    job.predict("candidate", "test", TEST)
    in_order = job.evaluated()
    job.predict("candidate", "test", TEST[::-1])
    assert job.evaluated()["candidate"]["by_series"] == in_order["candidate"]["by_series"]


def test_a_calibration_of_one_short_series_is_strict_json(job: Job) -> None:
    job.predict("candidate", "test", TEST)
    job.evaluated()
    text = (job.output / "band.json").read_text(encoding="utf-8")
    assert not {"NaN", "Infinity"} & set(re.findall(r"[A-Za-z]+", text))


def test_the_layout_is_sagemakers(job: Job) -> None:
    job.predict("candidate", "test", TEST)
    evaluation = job.evaluated()
    for name, value in evaluation["candidate"]["metrics"].items():
        metric = evaluation["regression_metrics"][name]
        assert metric["value"] == value
        assert metric["standard_deviation"] > 0


def test_the_champion_is_measured_on_the_same_rows_by_its_own_band(job: Job) -> None:
    job.configure(champion={"model_version": "small/1", "band": CHAMPIONS.to_json()})
    job.predict("candidate", "test", TEST)
    job.predict("champion", "test", [(*row[:3], 9.0) for row in TEST])
    champion = job.evaluated()["champion"]
    assert champion["model_version"] == "small/1"
    assert champion["metrics"]["mae"] == pytest.approx((3 + 1 + 7 + 6) / 4)
    lower, upper = counts_of(stabilised(np.array([9.0])) + np.array([-2.0, 3.0]))
    inside = [lower <= row[0] <= upper for row in TEST]
    assert champion["metrics"]["coverage"] == sum(inside) / 4


def test_a_champion_on_other_rows_is_refused(job: Job) -> None:
    job.configure(champion={"model_version": "small/1", "band": CHAMPIONS.to_json()})
    job.predict("candidate", "test", TEST)
    job.predict("champion", "test", TEST[:-1])
    assert "champion/test.csv.out is not about the rows of" in job.refused()


@pytest.mark.parametrize(
    "prediction",
    [
        "4.0",
        "4",
        "[4.0]",
        '{"score": 4.0}',
        '{"predictions": [{"score": 4.0}]}',
        '{"score": 4.0, "x": [1, 2]}',
    ],
)
def test_the_answers_of_all_algorithms_are_understood(job: Job, prediction: str) -> None:
    job.predict("candidate", "test", [(*row[:3], prediction) for row in TEST])
    assert job.evaluated()["candidate"]["metrics"]["mae"] == 11 / 4


def test_series_with_commas_and_quotes_are_understood(job: Job) -> None:
    job.predict("candidate", "test", [(6, 'a "b", c', window(0), 4.0)])
    assert list(job.evaluated()["candidate"]["by_series"]) == ['a "b", c']


def test_a_metric_that_is_not_defined_is_null(job: Job) -> None:
    job.predict("candidate", "test", [(0, "a", window(0), 1.0)])
    evaluation = job.evaluated()
    assert evaluation["regression_metrics"]["wape"] == {"value": None, "standard_deviation": None}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("6,a,2026-01-05T00:00:00,nan", "candidate/test.csv.out, line 1: the answer is nan"),
        ("6,a,2026-01-05T00:00:00,inf", "line 1: the answer is inf"),
        ("6,a,2026-01-05T00:00:00,", "line 1: no number and no score in ''"),
        ("6,a,2026-01-05T00:00:00,soon", "line 1: no number and no score in 'soon'"),
        ("six,a,2026-01-05T00:00:00,4", "line 1: the label 'six' is no number"),
        ("6,a,2026-01-05T00:00:00", "line 1: 3 columns, not 3 and an answer"),
        ('6,a,2026-01-05T00:00:00,{"label": 1}', "line 1: no number and no score"),
        ("", "test.csv.out holds no prediction"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(job: Job, row: str, message: str) -> None:
    job.write("candidate/test.csv.out", row and f"{row}\n")
    assert message in job.refused()


def test_a_missing_output_is_named(job: Job) -> None:
    assert "candidate/test.csv.out is missing" in job.refused()


def test_too_few_rows_to_calibrate_on_are_refused_with_the_number(job: Job) -> None:
    job.configure(coverage=0.99)
    job.predict("candidate", "test", TEST)
    assert "needs 199 windows to calibrate on, there are 19" in job.refused()


def test_by_hand_it_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--help"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SCRIPT.parents[2] / "plugins")},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "/opt/ml" in done.stdout
    assert "champion" in done.stdout


@pytest.mark.parametrize("place", job_files())
def test_what_runs_in_the_cloud_speaks_the_oldest_python_and_needs_numpy_at_most(place: str) -> None:
    tree = ast.parse(job_files()[place].read_text(encoding="utf-8"), feature_version=OLDEST_PYTHON)
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert imported <= ALLOWED | {module.replace("/", ".").removesuffix(".py") for module in job_files()}
    assert not too_new(tree)


def too_new(tree: ast.Module) -> list[str]:
    """Return what the oldest Python reads and cannot run; annotations and what they need are only text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
        elif isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
            found += [f"line {node.lineno}: zip({word.arg}=)" for word in node.keywords]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if node.value.id in BUILTIN_GENERICS:
                found.append(f"line {node.lineno}: {node.value.id}[]")
        elif isinstance(node, ast.Attribute) and node.attr in ("removeprefix", "removesuffix", "bit_count"):
            found.append(f"line {node.lineno}: {node.attr}")
    return found


@pytest.mark.parametrize(
    "text", ["zip(a, b, strict=True)", "Pairs = list[int]", "def f(x: int):\n    return x.removeprefix('a')"]
)
def test_what_only_newer_pythons_run_is_found(text: str) -> None:
    assert too_new(ast.parse(text))


def test_annotations_may_be_of_newer_pythons() -> None:
    assert not too_new(
        ast.parse("x: list[int] = []\ndef f(a: dict[str, int]) -> tuple[int, ...]:\n    return a")
    )


def test_a_table_has_no_series_and_no_times_and_a_band_of_its_numbers(tmp_path: Path) -> None:
    job = Job(
        tmp_path, objective="regression", keys=["row"], features=0, classes=[], coverage=0.9, windows=False
    )
    residuals = [-3.0, *[0.0] * 17, 2.0]
    job.predict(
        "candidate", "validation", [(-5 + extra, f"f.csv:{n}", -5.0) for n, extra in enumerate(residuals)]
    )
    job.predict("candidate", "test", [(-7, "f.csv:98", -6.0), (-1, "f.csv:99", -8.0)])
    evaluation = job.evaluated()
    assert "by_series" not in evaluation["candidate"]
    assert "test_period" not in evaluation
    assert evaluation["candidate"]["metrics"] == pytest.approx(
        {"rmse": 5, "mae": 4, "wape": 8 / 8, "bias": -3, "coverage": 1 / 2}
    )
    band = job.band()
    assert isinstance(band, Band)
    lower, upper = band.bounds(np.array([-5.0]))
    assert (lower[0], upper[0]) == pytest.approx((-8, -3))
    (panel,) = job.read("pictures")["band"]
    assert panel["series"] is panel["at"] is None
    assert panel["expected"] == [-8, -6]


def test_pictures_show_the_last_windows_of_the_longest_series_in_order(job: Job) -> None:
    long = [(4, "long", window(number), 4.0) for number in reversed(range(280))]
    job.predict("candidate", "test", [*long, *((4, name, window(1), 4.0) for name in "abcdef")])
    job.evaluated()
    panels = job.read("pictures")["band"]
    assert [panel["series"] for panel in panels] == ["long", "a", "b", "c"]
    assert panels[0]["at"] == [window(number) for number in range(280)]
    assert all(len(panels[0][name]) == 280 for name in ("observed", "expected", "lower", "upper"))


def test_the_histogram_holds_every_row_of_both_models(job: Job) -> None:
    job.configure(champion={"model_version": "small/1", "band": CHAMPIONS.to_json()})
    job.predict("candidate", "test", TEST)
    job.predict("champion", "test", [(*row[:3], 9.0) for row in TEST])
    job.evaluated()
    histogram = job.read("pictures")["residuals"]
    assert [sum(counts) for counts in histogram["counts"]] == [4, 4]
    assert len(histogram["edges"]) == len(histogram["counts"][0]) + 1


def test_a_candidate_that_is_nearer_everywhere_is_surely_better_but_not_in_coverage(job: Job) -> None:
    job.configure(champion={"model_version": "small/1", "band": CHAMPIONS.to_json()}, coverage=0.9)
    rows = [(4 + number % 2, "a", window(number), 4.4) for number in range(100)]
    job.predict("candidate", "test", rows)
    job.predict("champion", "test", [(*row[:3], 5.5) for row in rows])
    confidence = job.evaluated()["confidence"]
    assert confidence == {"rmse": 1, "mae": 1, "wape": 1, "bias": 1, "coverage": 0}
    job.predict("champion", "test", rows)
    assert set(job.evaluated()["confidence"].values()) == {0}


rows_of_numbers = st.lists(
    st.tuples(st.integers(-50, 50), st.floats(-50, 50), st.booleans()), min_size=1, max_size=40
)


@given(rows_of_numbers, st.randoms())
def test_weights_of_one_give_the_plain_metrics_in_any_order(
    rows: list[tuple[int, float, bool]], random: Any
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    observed, expected, inside = np.array(shuffled, dtype=float).T
    error = expected - observed
    terms = [np.ones(len(rows)), np.abs(observed), error, np.abs(error), error**2, inside]
    metrics = metrics_of(np.ones(len(rows)) @ np.column_stack(terms))
    plain = [(row[1] - row[0], row[0], row[2]) for row in rows]
    assert metrics["rmse"] == pytest.approx(math.sqrt(sum(e * e for e, _, _ in plain) / len(plain)))
    assert metrics["mae"] == pytest.approx(sum(abs(e) for e, _, _ in plain) / len(plain))
    assert metrics["bias"] == pytest.approx(sum(e for e, _, _ in plain) / len(plain), abs=1e-9)
    assert metrics["coverage"] == pytest.approx(sum(i for _, _, i in plain) / len(plain))
    total = sum(abs(o) for _, o, _ in plain)
    wape = sum(abs(e) for e, _, _ in plain) / total if total else math.nan
    assert metrics["wape"] == pytest.approx(wape, nan_ok=True)

"""The evaluation script as SageMaker runs it: a process of its own, the band code beside it."""

from __future__ import annotations

import ast
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vigil.bands
from vigil.bands import Band, calibrate, counts_of, stabilised
from vigil.paths import jobs_dir

OLDEST_PYTHON = (3, 7)
SCRIPT, BANDS = jobs_dir() / "evaluate.py", Path(vigil.bands.__file__)
ALLOWED = {"__future__", "argparse", "csv", "json", "math", "os", "sys", "numpy", "bands"}
ALLOWED |= {"collections.abc", "dataclasses", "typing", "numpy.typing"}
# Its bounds of 4 expected events are 1 and 9, whatever the series.
WIDE_BAND = Band(
    0.9,
    float(stabilised(np.array([1.0]))[0] - stabilised(np.array([4.0]))[0]),
    float(stabilised(np.array([9.0]))[0] - stabilised(np.array([4.0]))[0]),
    {},
    (1.0, 1.0),
)


class Job:
    """The folders of a processing job."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "ml"
        self.given = self.root / "processing" / "input"
        code = self.given / "code"
        code.mkdir(parents=True)
        shutil.copy(SCRIPT, code)
        shutil.copy(BANDS, code)
        self.configure(None)
        self.predict("candidate", "validation", calibration())

    def configure(self, champion: dict[str, Any] | None, coverage: float = 0.9) -> None:
        config = {"model": "small", "dataset": "s3://b/d", "coverage": coverage, "champion": champion}
        self.write("config/config.json", json.dumps(config))

    def predict(self, who: str, part: str, rows: Sequence[tuple[object, ...]]) -> None:
        self.write(f"{who}/{part}.csv.out", "".join(",".join(map(str, row)) + "\n" for row in rows))

    def write(self, name: str, text: str) -> None:
        (self.given / name).parent.mkdir(exist_ok=True)
        (self.given / name).write_text(text, encoding="utf-8")

    def run(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, self.given / "code" / "evaluate.py", "--root", self.root]
        # -I would hide the script's own folder: an empty environment keeps the checkout's path away.
        return subprocess.run(command, capture_output=True, text=True, env={}, timeout=60, check=False)

    def evaluated(self) -> tuple[dict[str, Any], Band]:
        done = self.run()
        assert done.returncode == 0, done.stderr
        output = self.root / "processing" / "output" / "evaluation"
        content = json.loads((output / "evaluation.json").read_text())
        return content, Band.from_json(json.loads((output / "band.json").read_text()))

    def refused(self) -> str:
        done = self.run()
        assert done.returncode == 1, done.stderr
        assert not (self.root / "processing" / "output").exists()
        message = (self.root / "output" / "message").read_text()
        assert message in done.stderr
        return message


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


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
    evaluation, _ = job.evaluated()
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
    by_series = job.evaluated()[0]["candidate"]["by_series"]
    assert by_series["a"] == pytest.approx(
        {"rows": 2, "mae": 4, "rmse": math.sqrt(20), "wape": 8 / 16, "bias": -4, "coverage": 0.5}
    )
    assert by_series["b"]["coverage"] == 1
    assert by_series["b"]["bias"] == 1.5


def test_the_band_is_the_calibration_of_the_validation_part_alone(job: Job) -> None:
    job.predict("candidate", "test", TEST)
    _, band = job.evaluated()
    rows = calibration()
    observed = np.array([float(row[0]) for row in rows])
    assert band == calibrate(["a"] * len(rows), np.full(len(rows), 4.0), observed, 0.9)
    lower, upper = band.bounds(["a"], np.array([4.0]))
    assert (lower[0], upper[0]) == pytest.approx((1, 9))


def test_the_layout_is_sagemakers(job: Job) -> None:
    job.predict("candidate", "test", TEST)
    evaluation, _ = job.evaluated()
    for name, value in evaluation["candidate"]["metrics"].items():
        metric = evaluation["regression_metrics"][name]
        assert metric["value"] == value
        assert metric["standard_deviation"] > 0


def test_the_champion_is_measured_on_the_same_rows_by_its_own_band(job: Job) -> None:
    job.configure({"model_version": "small/1", "band": WIDE_BAND.to_json()})
    job.predict("candidate", "test", TEST)
    job.predict("champion", "test", [(*row[:3], 9.0) for row in TEST])
    champion = job.evaluated()[0]["champion"]
    assert champion["model_version"] == "small/1"
    assert champion["metrics"]["mae"] == pytest.approx((3 + 1 + 7 + 6) / 4)
    quantiles = np.array([WIDE_BAND.lower_quantile, WIDE_BAND.upper_quantile])
    lower, upper = counts_of(stabilised(np.array([9.0])) + quantiles)
    inside = [lower <= row[0] <= upper for row in TEST]
    assert champion["metrics"]["coverage"] == sum(inside) / 4


def test_a_champion_on_other_rows_is_refused(job: Job) -> None:
    job.configure({"model_version": "small/1", "band": WIDE_BAND.to_json()})
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
    assert job.evaluated()[0]["candidate"]["metrics"]["mae"] == 11 / 4


def test_series_with_commas_and_quotes_are_understood(job: Job) -> None:
    job.predict("candidate", "test", [(6, '"a ""b"", c"', window(0), 4.0)])
    assert list(job.evaluated()[0]["candidate"]["by_series"]) == ['a "b", c']


def test_a_metric_that_is_not_defined_is_null(job: Job) -> None:
    job.predict("candidate", "test", [(0, "a", window(0), 1.0)])
    evaluation, _ = job.evaluated()
    assert evaluation["regression_metrics"]["wape"] == {"value": None, "standard_deviation": None}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("6,a,2026-01-05T00:00:00,nan", "candidate/test.csv.out, line 1: the prediction is nan"),
        ("6,a,2026-01-05T00:00:00,inf", "line 1: the prediction is inf"),
        ("6,a,2026-01-05T00:00:00,", "line 1: the prediction '' is no number"),
        ("6,a,2026-01-05T00:00:00,soon", "line 1: the prediction 'soon' is no number"),
        ("six,a,2026-01-05T00:00:00,4", "line 1: the label 'six' is no number"),
        ("6,a,2026-01-05T00:00:00", "line 1: 3 columns, not label,series,window_start,prediction"),
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
    job.configure(None, coverage=0.99)
    job.predict("candidate", "test", TEST)
    assert "needs 199 windows to calibrate on, there are 19" in job.refused()


def test_by_hand_it_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--help"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(BANDS.parent)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "/opt/ml" in done.stdout
    assert "champion" in done.stdout


@pytest.mark.parametrize("file", [*sorted(jobs_dir().glob("*.py")), BANDS], ids=lambda file: file.name)
def test_what_runs_in_the_cloud_speaks_the_oldest_python_and_needs_numpy_at_most(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=OLDEST_PYTHON)
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert imported <= ALLOWED

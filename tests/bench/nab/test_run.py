from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench.nab import run as running
from bench.nab.__main__ import app
from bench.nab.folder import read_file, read_folder
from bench.nab.published import are_the_six
from bench.nab.rows import COLUMNS
from bench.nab.run import run
from tests.bench.nab.folders import hourly_counts, write_series
from tests.bench.nab.test_replay import quick
from vigil.paths import include_dir

SPIKE = 19 * 24


@pytest.fixture(autouse=True)
def _trees_are_grown_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "load_model_spec", quick)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    for seed in range(4):
        counts = hourly_counts(24, seed)
        if seed == 1:
            counts[SPIKE : SPIKE + 4] = 900
        write_series(made, f"series-{seed}", counts.tolist())
    return made


def rows_of(out: Path, name: str) -> list[dict[str, str]]:
    with (out / "nab" / f"{name}.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_labelled_folder_is_scored(folder: Path, tmp_path: Path) -> None:
    label = ["2026-03-21 00:20:00", "2026-03-21 06:20:00"]
    (folder / "windows.json").write_text(json.dumps({"series-1.csv": [label]}))
    summary = run(folder, tmp_path, Console(quiet=True))
    content = json.loads((tmp_path / "nab.json").read_text())
    for found in ("default", "best"):
        assert set(content[found]) == {"threshold", "standard", "low_fp", "low_fn"}
    assert content["best"]["standard"] >= content["default"]["standard"] > 50
    assert content["series"] == 4
    assert content["hits"] == content["labelled"] == 1
    assert 0 < content["f1"] <= 1
    assert content["window_ms"] > 0
    assert "published" not in content
    assert [row.cells for row in summary.table().columns[:1]]


def test_rows_keep_stamps_and_order_and_tell_what_the_fold_tells(folder: Path, tmp_path: Path) -> None:
    file = folder / "series-1.csv"
    header, *lines = file.read_text().splitlines()
    lines[3], lines[4] = lines[4], lines[3]
    file.write_text("\n".join([header, *lines]) + "\n")
    summary = run(folder, tmp_path, Console(quiet=True))
    for judged, told in zip(summary.watched.series, summary.default.told, strict=True):
        series = judged.history.series
        rows = rows_of(tmp_path, series.name)
        assert tuple(rows[0]) == COLUMNS
        assert [(row["timestamp"], row["value"]) for row in rows] == list(series.texts)
        alerted = [place for place, row in enumerate(rows) if row["alert"] == "1"]
        assert alerted == sorted(series.order[told.alerts].tolist())
        unjudged = [row for row in rows if not row["expected"]]
        assert unjudged
        assert all((row["lower"], row["upper"], row["score"]) == ("", "", "0") for row in unjudged)
        assert not any(row["alert"] == "1" for row in unjudged)
    assert rows_of(tmp_path, "series-1")[SPIKE]["alert"] == "1"
    assert float(rows_of(tmp_path, "series-1")[SPIKE]["score"]) > 1_000


def test_a_folder_without_labels_is_judged_and_not_scored(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "nab").mkdir()
    (tmp_path / "nab" / "stale.csv").touch()
    run(folder, tmp_path, Console(quiet=True))
    content = json.loads((tmp_path / "nab.json").read_text())
    assert content["default"] == {"threshold": 1.0, "standard": None, "low_fp": None, "low_fn": None}
    assert content["best"] is content["f1"] is content["false_incidents_per_series_month"] is None
    assert content["incidents"] >= 1
    written = {file.name for file in (tmp_path / "nab").iterdir()}
    assert written == {f"series-{seed}.{kind}" for seed in range(4) for kind in ("csv", "png")}


def test_too_little_history_is_said_and_no_failure(tmp_path: Path) -> None:
    write_series(tmp_path, "short", np.arange(30).tolist())
    done = CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert "no window was judged" in done.output
    assert json.loads((tmp_path / "out" / "nab.json").read_text())["incidents"] == 0


def test_bad_input_is_one_message(tmp_path: Path) -> None:
    write_series(tmp_path, "bad", [1, 2, "x"])
    done = CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert f"{tmp_path / 'bad.csv'}, line 4: 'x' is no count" in done.output
    assert not (tmp_path / "out").exists()


def test_the_published_rows_speak_of_the_sample_data_alone(tmp_path: Path) -> None:
    six = read_folder(include_dir() / "sample-data")
    assert are_the_six(six)
    assert not are_the_six(six[1:])
    file = tmp_path / "Twitter_volume_KO.csv"
    lines = (include_dir() / "sample-data" / file.name).read_text().splitlines()
    file.write_text("\n".join(lines[:1] + lines[1::12]) + "\n")
    assert not are_the_six([*(one for one in six if one.name != file.stem), read_file(file)])

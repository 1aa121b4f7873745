from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.nab.folder import _windows_of, read_file, read_folder, read_labels
from tests.bench.nab.folders import write_series
from vigil.errors import DataError
from vigil.grid import FIVE_MINUTES, Grid


def write(folder: Path, text: str, name: str = "a.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_the_grid_is_the_median_distance_of_the_stamps(tmp_path: Path) -> None:
    hourly = read_file(write_series(tmp_path, "hourly", range(5)))
    assert hourly.grid == Grid(3600)
    assert np.diff(hourly.windows).tolist() == [1, 1, 1, 1]
    # 00:20 lies in the window that begins at midnight.
    assert hourly.windows[0] * 3600 == hourly.seconds[0] - 20 * 60
    odd = read_file(write_series(tmp_path, "odd", range(5), timedelta(minutes=7)))
    assert odd.grid == Grid(420)


def test_one_row_lies_on_the_usual_grid(tmp_path: Path) -> None:
    assert read_file(write_series(tmp_path, "one", [3])).grid == FIVE_MINUTES


def test_a_gap_leaves_windows_out(tmp_path: Path) -> None:
    text = "timestamp,value\n2026-03-02 00:00,1\n2026-03-02 00:05,2\n2026-03-02 00:10,2\n2026-03-02 01:00,3\n"
    series = read_file(write(tmp_path, text))
    assert (series.windows - series.windows[0]).tolist() == [0, 1, 2, 12]


def test_rows_out_of_order_are_put_in_order_and_keep_their_texts(tmp_path: Path) -> None:
    text = "timestamp,value\n2026-03-02T00:10:00Z,3\n2026-03-02 00:00,1\n2026-03-02 00:05:00,2.50\n"
    series = read_file(write(tmp_path, text))
    assert series.values.tolist() == [1, 2.5, 3]
    assert series.order.tolist() == [1, 2, 0]
    assert series.texts[2] == ("2026-03-02 00:05:00", "2.50")


@given(st.lists(st.integers(0, 5_000), min_size=2, max_size=60))
def test_every_row_has_a_window_of_its_own(stamps: list[int]) -> None:
    seconds = np.sort(np.array(stamps, dtype=float))
    windows = _windows_of(seconds, FIVE_MINUTES, Path("any"))
    assert (np.diff(windows) >= 1).all()
    assert windows[0] == seconds[0] // 300


@given(st.lists(st.floats(-140, 140), min_size=2, max_size=60))
def test_jitter_of_less_than_half_a_window_moves_no_row(jitter: list[float]) -> None:
    seconds = 1_000 * 300 + np.arange(len(jitter)) * 300.0 + [0, *jitter[1:]]
    windows = _windows_of(seconds, FIVE_MINUTES, Path("any"))
    assert windows.tolist() == list(range(1_000, 1_000 + len(jitter)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column timestamp"),
        ("time,value\n", "no column timestamp"),
        ("timestamp,count\n2026-01-01,1\n", "no column value"),
        ("timestamp,value\n", "holds no row"),
        ("timestamp,value\nyesterday,1\n", "line 2: 'yesterday' is no time"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02\n", "line 3: None is no count"),
        ("timestamp,value\n2026-01-01,-1\n", "line 2: '-1' is no count"),
        ("timestamp,value\n2026-01-01,nan\n", "line 2: 'nan' is no count"),
        ("timestamp,value\n2026-01-01,inf\n", "line 2: 'inf' is no count"),
        ("timestamp,value\n2026-01-01,many\n", "line 2: 'many' is no count"),
        ("timestamp,value\n2026-01-01,1\n2026-01-01,1\n", "0 s apart"),
        ("timestamp,value\n2026-01-01,1\n2026-01-03,1\n", "172800 s apart"),
        (
            "timestamp,value\n1950-01-01,1\n1950-01-01 00:00:01,1\n1950-01-01 00:00:02,1\n2026-01-01,1\n",
            "Is a stamp wrong",
        ),
    ],
)
def test_what_is_no_series_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_file(write(tmp_path, text))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"timestamp,value\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"no CSV in UTF-8"):
        read_file(file)


def test_a_folder_without_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no CSV"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        read_folder(tmp_path / "absent")


def label(folder: Path, content: object) -> None:
    (folder / "windows.json").write_text(json.dumps(content))


def test_labels_hold_both_their_ends(tmp_path: Path) -> None:
    write_series(tmp_path, "a", range(10))
    write_series(tmp_path, "b", range(10))
    label(
        tmp_path,
        {
            "a.csv": [
                ["2026-03-02 05:20:00.000000", "2026-03-02 07:20"],
                ["2026-03-02 01:00", "2026-03-02 02:00"],
            ]
        },
    )
    labels = read_labels(tmp_path, read_folder(tmp_path))
    assert labels is not None
    assert [(one.first, one.last, one.width) for one in labels["a"]] == [(1, 1, 1), (5, 7, 3)]
    assert labels["b"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"c.csv": []}, "labels c.csv, which the folder has not"),
        ([], "must name the labelled times"),
        ({"a.csv": ["2026-03-02 05:20"]}, "pairs of times"),
        ({"a.csv": [["2026-03-02", "soon"]]}, "'soon' is no time"),
        ({"a.csv": [["2027-03-02", "2027-03-03"]]}, "no row lies from"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(tmp_path: Path, content: object, message: str) -> None:
    write_series(tmp_path, "a", range(10))
    label(tmp_path, content)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path, read_folder(tmp_path))


def test_a_folder_may_have_no_labels(tmp_path: Path) -> None:
    write_series(tmp_path, "a", range(10))
    series = read_folder(tmp_path)
    assert read_labels(tmp_path, series) is None
    label(tmp_path, {"a.csv": []})
    assert read_labels(tmp_path, series) is None
    (tmp_path / "windows.json").write_text("{")
    with pytest.raises(DataError, match="is no JSON"):
        read_labels(tmp_path, series)

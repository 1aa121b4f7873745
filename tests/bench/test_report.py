from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.bench_clean_series import _MONTH, Run
from bench.report import Figure, write_figures


def test_a_figure_is_met_within_its_limits() -> None:
    assert Figure(1.0, at_most=1).met
    assert not Figure(1.1, at_most=1).met
    assert [Figure(value, at_least=0.98, at_most=1).met for value in (0.97, 0.98, 1.0)] == [False, True, True]
    assert Figure(0, at_least=0.98, at_most=1).goal == "at least 0.98, at most 1"


def test_a_report_of_figures_is_met_when_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "BENCH_DIR", tmp_path)
    write_figures("some", {"one": Figure(1, at_most=1), "two": Figure(2, at_most=1)}, 3, detail="x")
    content = json.loads((tmp_path / "some.json").read_text())
    assert content["figures"] == {
        "one": {"value": 1, "goal": "at most 1"},
        "two": {"value": 2, "goal": "at most 1"},
    }
    assert (content["met"], content["runs"], content["detail"]) == (False, 3, "x")


def test_false_incidents_are_counted_by_series_and_month() -> None:
    run = Run({"a": [0, 1, _MONTH, 2 * _MONTH + 1], "b": []}, 2 * _MONTH + 10, [], [])
    assert list(run.of_each_month()) == [2, 1, 0, 0]
    assert list(run.of_each_month(_MONTH)) == [1, 0]
    assert run.a_month()["a"] == pytest.approx(2, rel=1e-2)
    assert run.a_month(_MONTH) == {"a": pytest.approx(2, rel=1e-2), "b": 0}

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from local_stack.demo.tabular_sample import MODEL, TARGET, write_tabular_files
from vigil.training.spec.data import Tabular
from vigil.training.spec.model import load_model_spec


@pytest.mark.parametrize("files", [1, 3])
def test_the_files_hold_the_whole_data_set_with_the_target_that_the_spec_predicts(
    tmp_path: Path, files: int
) -> None:
    spec = load_model_spec(MODEL)
    assert isinstance(spec.data, Tabular)
    assert spec.data.target == TARGET
    rows = []
    for file in write_tabular_files(tmp_path, files):
        with file.open(newline="") as lines:
            rows += list(csv.DictReader(lines))
    assert len(rows) == 569
    assert sum(row[TARGET] == spec.data.positive for row in rows) == 212
    assert {len(row) for row in rows} == {31}
    assert len({tuple(row.values()) for row in rows}) == 569


def test_the_files_are_the_same_each_time(tmp_path: Path) -> None:
    (first,) = write_tabular_files(tmp_path)
    content = first.read_bytes()
    (second,) = write_tabular_files(tmp_path)
    assert second.read_bytes() == content

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from vigil.operators import reporting


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "there.py").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("own", "asked", "removed"),
    [
        ("there.py", "there.py", False),
        ("there.py", "gone.py", True),
        ("there.py", None, False),
        (None, "there.py", False),
        (None, "gone.py", False),
    ],
)
def test_a_dag_is_removed_only_if_its_file_is_known_to_be_gone(monkeypatch, folder, own, asked, removed):
    running = SimpleNamespace(fileloc=str(folder / "there.py"), relative_fileloc=own)
    monkeypatch.setattr(reporting, "get_current_context", lambda: {"dag": running})
    assert reporting._is_removed(SimpleNamespace(relative_fileloc=asked)) is removed

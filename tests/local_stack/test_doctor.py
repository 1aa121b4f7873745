from __future__ import annotations

import json
from pathlib import Path

from deploy.doctor import report
from local_stack.doctor import examine_stack
from local_stack.stack import open_stack
from vigil.setup.findings import failures


def test_where_nothing_was_ever_started_the_first_step_is_said(tmp_path: Path) -> None:
    findings = examine_stack(open_stack(tmp_path / "stack"))
    (first,) = failures(findings)
    assert (first.what, first.fix) == ("settings", "run `make up`.")
    file = tmp_path / "results" / "doctor.json"
    told: list[str] = []
    assert not report(findings, file, told.append)
    assert len(told) == len(findings) + 1
    assert json.loads(file.read_text())[0]["outcome"] == "fail"

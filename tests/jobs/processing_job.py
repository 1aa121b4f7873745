"""The evaluation job as SageMaker runs it: a process of its own, its modules beside it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vigil.bands import Band
from vigil.calibration import Calibration, band_of
from vigil.training.evaluation.job import job_files


class Job:
    """The folders of a processing job."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.root = folder / "ml"
        self.given = self.root / "processing" / "input"
        self.output = self.root / "processing" / "output" / "evaluation"
        code = self.given / "code"
        for place, file in job_files().items():
            (code / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, code / place)
        self.config = {"model": "small", "run": "r1", "dataset": "s3://b/d", "champion": None, **config}
        self.configure()

    def configure(self, **changes: Any) -> None:
        self.config |= changes
        self.write("config/config.json", json.dumps(self.config))

    def predict(self, who: str, part: str, rows: Sequence[Sequence[object]]) -> None:
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows(rows)
        self.write(f"{who}/{part}.csv.out", lines.getvalue())

    def write(self, name: str, text: str) -> None:
        (self.given / name).parent.mkdir(exist_ok=True)
        (self.given / name).write_text(text, encoding="utf-8")

    def run(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, self.given / "code" / "evaluate.py", "--root", self.root]
        # -I would hide the script's own folder: an empty environment keeps the checkout's path away.
        return subprocess.run(command, capture_output=True, text=True, env={}, timeout=60, check=False)

    def evaluated(self) -> dict[str, Any]:
        done = self.run()
        assert done.returncode == 0, done.stderr
        return self.read("evaluation")

    def read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.output / f"{name}.json").read_text(encoding="utf-8"))
        return content

    def band(self) -> Band | Calibration:
        return band_of(self.read("band"))

    def refused(self) -> str:
        done = self.run()
        assert done.returncode == 1, done.stderr
        assert not self.output.exists()
        message = (self.root / "output" / "message").read_text(encoding="utf-8")
        assert message in done.stderr
        return message

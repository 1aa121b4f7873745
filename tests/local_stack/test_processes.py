from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from local_stack.airflow import every
from local_stack.lifecycle import bring_down, start_bare_services
from local_stack.ports import is_free
from local_stack.stack import USER_DATABASE, open_stack


def test_nothing_outlives_a_process_runner_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USER_DATABASE, "mysql://vigil:secret@127.0.0.1:1/vigil")
    stack = open_stack(tmp_path)
    try:
        start_bare_services(stack, print)
        os.kill(int((stack.folder / "supervisord.pid").read_text()), signal.SIGKILL)
        for _ in every(0.1, 40, "the embedded AWS to end"):
            if is_free(stack.ports["local_aws"]):
                break
    finally:
        bring_down(stack)

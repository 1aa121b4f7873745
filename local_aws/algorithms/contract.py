"""The container contract as an algorithm sees it: where its input lies, where its output goes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

CLIENT_ERROR_EXIT = 2


def ml_root() -> Path:
    """Find the directory that is /opt/ml in the cloud."""
    return Path(os.environ.get("LOCAL_AWS_ML_ROOT", "/opt/ml"))


def model_directory() -> Path:
    """Find where the model is kept."""
    return ml_root() / "model"


class UserError(Exception):
    """A mistake in hyperparameters or data: the job fails with a ClientError."""


def run(commands: dict[str, Callable[[], None]]) -> NoReturn:
    """Run the command that the container was started with, `train` or `serve`."""
    try:
        commands[sys.argv[1]]()
    except UserError as error:
        _fail(str(error), CLIENT_ERROR_EXIT)
    except Exception as error:
        import traceback

        traceback.print_exc()
        _fail(f"{type(error).__name__}: {error}", 1)
    sys.exit(0)


def hyperparameters() -> dict[str, str]:
    """Read the hyperparameters, which are all strings."""
    return dict(_config("hyperparameters"))


def content_type(channel: str) -> str | None:
    """Tell the content type that a channel was given."""
    given = _config("inputdataconfig").get(channel, {}).get("ContentType")
    return given.split(";")[0].strip().lower() if given else None


def channel_files(channel: str) -> list[Path]:
    """List a channel's files; none for a channel that was not given."""
    directory = ml_root() / "input/data" / channel
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _config(name: str) -> dict[str, Any]:
    path = ml_root() / f"input/config/{name}.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _fail(message: str, exit_code: int) -> NoReturn:
    print(f"ERROR {message}", file=sys.stderr, flush=True)
    output = ml_root() / "output"
    if output.is_dir():
        (output / "failure").write_text(message)
    sys.exit(exit_code)

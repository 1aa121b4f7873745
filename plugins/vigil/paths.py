"""Where the project's own files lie: in a checkout, and on Amazon MWAA.

MWAA ships only `dags/` and `plugins/`, so a deployment puts `include/` inside `dags/`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from vigil.errors import SettingsError

_BESIDE_PLUGINS = Path(__file__).resolve().parents[2]


@cache
def include_dir() -> Path:
    """Return the folder with SQL, configuration, job scripts and sample data.

    Raises:
        SettingsError: it is in none of the places it may be.
    """
    named = os.environ.get("VIGIL_INCLUDE_DIR")
    candidates = (
        [Path(named)] if named else [_BESIDE_PLUGINS / "include", _BESIDE_PLUGINS / "dags" / "include"]
    )
    for folder in candidates:
        if (folder / "sql").is_dir():
            return folder
    raise SettingsError(
        f"No include folder with sql/ in it at {' or '.join(map(str, candidates))}: "
        "upload include/ into the DAGs folder, or set VIGIL_INCLUDE_DIR."
    )


def sql_dir() -> Path:
    """Return the folder of the SQL statements."""
    return include_dir() / "sql"


def configs_dir() -> Path:
    """Return the folder of pipeline settings, model specs and training stacks."""
    return include_dir() / "configs"


def jobs_dir() -> Path:
    """Return the folder of the scripts that run on SageMaker or EC2."""
    return include_dir() / "jobs"

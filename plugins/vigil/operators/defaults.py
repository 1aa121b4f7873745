"""What all of Vigil's DAGs have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

OWNER = "vigil"
TAG = "vigil"

DEFAULT_ARGS: dict[str, Any] = {
    "owner": OWNER,
    # Every task can be tried again at any point: it adopts what its first try began.
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
    "execution_timeout": timedelta(hours=2),
}

MINUTELY_ARGS: dict[str, Any] = {
    "owner": OWNER,
    # The next run is a minute away and goes on where this one stopped.
    "retries": 0,
    "execution_timeout": timedelta(minutes=10),
}

"""Lets moto forget what was deleted.

Moto keeps a list of every instance of every model, for its dashboard and for resets between tests. In a
server that runs for days the list holds every message and every object there ever was. Points of metrics it
keeps as well, all of them.
"""

from __future__ import annotations

from typing import Any

from moto.cloudwatch.models import CloudWatchBackend
from moto.core.common_models import BaseModel

# Most of a day of what the pipeline sends, and the points of queues.
_POINTS_KEPT = 20_000
_put_metric_data = CloudWatchBackend.put_metric_data


def apply() -> None:
    """Make models without putting them on the list, and keep only the newest points."""
    BaseModel.__new__ = _new  # type: ignore[method-assign]
    CloudWatchBackend.put_metric_data = _put_and_forget  # type: ignore[method-assign]


def _new(cls: type[Any], *_: Any, **__: Any) -> Any:
    return object.__new__(cls)


def _put_and_forget(self: CloudWatchBackend, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    _put_metric_data(self, namespace, metric_data)
    del self.metric_data[:-_POINTS_KEPT]

"""Lets moto forget what was deleted.

Moto keeps a list of every instance of every model, for its dashboard and for resets between tests. In a
server that runs for days the list holds every message and every object there ever was.
"""

from __future__ import annotations

from typing import Any

from moto.core.common_models import BaseModel


def apply() -> None:
    """Make models without putting them on the list."""
    BaseModel.__new__ = _new  # type: ignore[method-assign]


def _new(cls: type[Any], *_: Any, **__: Any) -> Any:
    return object.__new__(cls)

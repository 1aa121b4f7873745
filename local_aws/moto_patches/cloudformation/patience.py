"""Answers a call about a stack before the stack is done, when that takes longer than a client waits.

What is done soon is done when the call is answered. An environment of MWAA takes its time: then the stack is
in progress, as in the cloud, and goes on by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import Any

from moto.cloudformation.models import CloudFormationBackend

CALLS = ("create_stack", "update_stack", "delete_stack", "execute_change_set")
PATIENCE_S = 20.0
"""A third of what boto3 waits for an answer."""


def apply() -> None:
    """Let calls that change stacks be answered in time."""
    for name in CALLS:
        setattr(CloudFormationBackend, name, _in_time(getattr(CloudFormationBackend, name)))


def _in_time(change: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(change)
    def answered_in_time(backend: CloudFormationBackend, *args: Any, **kwargs: Any) -> Any:
        work = _Work(lambda: change(backend, *args, **kwargs))
        if work.ends_within(PATIENCE_S):
            return work.outcome()
        # A creation and an update are answered with their stack, which moto names by this argument.
        return backend.get_stack(kwargs["name"]) if "name" in kwargs else None

    return answered_in_time


class _Work:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), daemon=True)
        self._thread.start()

    def ends_within(self, limit_s: float) -> bool:
        """Wait for its end, but no longer than a limit; tell whether it has ended."""
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def outcome(self) -> Any:
        """Return what it returned, or raise what it raised."""
        if self._error:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # it is raised where the call was made
            self._error = error

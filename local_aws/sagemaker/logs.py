"""Carries a container's output into CloudWatch Logs, in batches."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

_BATCH_EVERY_S = 0.5
_BATCH_LINES = 1000


class LogStream:
    """One stream of a log group: lines go in, events come out at the latest half a second later."""

    def __init__(self, logs: Any, group: str, stream: str) -> None:
        self._logs = logs
        self._names = {"logGroupName": group, "logStreamName": stream}
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Condition()
        self._closed = False
        self._writer = threading.Thread(target=self._write, name=f"log {stream}", daemon=True)
        self._writer.start()

    def line(self, text: str) -> None:
        """Add a line; an empty one is no event, as in the cloud."""
        if text:
            with self._lock:
                self._waiting.append({"timestamp": int(time.time() * 1000), "message": text})
                self._lock.notify()

    def close(self) -> None:
        """Write what waits and end the stream."""
        with self._lock:
            self._closed = True
            self._lock.notify()
        self._writer.join()

    def _write(self) -> None:
        self._create()
        while True:
            with self._lock:
                self._lock.wait_for(
                    lambda: self._closed or len(self._waiting) >= _BATCH_LINES, _BATCH_EVERY_S
                )
                batch, self._waiting = self._waiting[:_BATCH_LINES], self._waiting[_BATCH_LINES:]
                finished = self._closed and not self._waiting
            if batch:
                self._logs.put_log_events(**self._names, logEvents=batch)
            if finished:
                return

    def _create(self) -> None:
        with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_group(logGroupName=self._names["logGroupName"])
        with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_stream(**self._names)

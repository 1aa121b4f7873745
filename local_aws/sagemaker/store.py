"""Keeps SageMaker's records: one dictionary by ARN, and a JSON file of it."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_aws.files import write_atomically

Record = dict[str, Any]


class Store:
    """Records as their Describe call answers them, by ARN, with their tags.

    Fields that start with an underscore are ours and never leave. Times are seconds since the epoch,
    as they travel on the wire. What comes out is a copy: only `change` alters a record.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._on_change = on_change

    def add(self, arn: str, record: Record, taken: Callable[[Record], Exception]) -> None:
        """Keep a new record, or raise what `taken` makes of the one that already has its ARN."""
        with self._lock:
            if arn in self._records:
                raise taken(self._records[arn])
            self._records[arn] = copy.deepcopy(record)
        self._on_change()

    def find(self, arn: str) -> Record | None:
        """Copy the record of an ARN, if there is one."""
        with self._lock:
            return copy.deepcopy(self._records.get(arn))

    def get(self, arn: str, missing: Exception) -> Record:
        """Copy the record of an ARN, or raise."""
        record = self.find(arn)
        if record is None:
            raise missing
        return record

    def change(self, arn: str, **fields: Any) -> Record:
        """Set fields of a record, and its LastModifiedTime."""
        return self.rewrite(arn, lambda record: record.update(fields))

    def rewrite(self, arn: str, edit: Callable[[Record], object]) -> Record:
        """Let `edit` alter a record under the lock; what it raises leaves the record as it was."""
        with self._lock:
            record = copy.deepcopy(self._records[arn])
            edit(record)
            record["LastModifiedTime"] = time.time()
            self._records[arn] = record
        self._on_change()
        return copy.deepcopy(record)

    def remove(self, arn: str, missing: Exception) -> Record:
        """Forget a record and its tags, or raise."""
        with self._lock:
            if arn not in self._records:
                raise missing
            self._tags.pop(arn, None)
            record = self._records.pop(arn)
        self._on_change()
        return record

    def under(self, prefix: str) -> list[Record]:
        """Copy every record whose ARN starts with a prefix."""
        with self._lock:
            return [copy.deepcopy(record) for arn, record in self._records.items() if arn.startswith(prefix)]

    def locked(self) -> threading.RLock:
        """Give the lock, for a check and a change that must not be parted."""
        return self._lock

    def tag(self, arn: str, tags: list[dict[str, str]]) -> dict[str, str]:
        """Add tags to an ARN and answer all it has."""
        with self._lock:
            kept = self._tags.setdefault(arn, {})
            kept.update({tag["Key"]: tag["Value"] for tag in tags})
            answer = dict(kept)
        self._on_change()
        return answer

    def untag(self, arn: str, keys: list[str]) -> None:
        """Take tags off an ARN."""
        with self._lock:
            kept = self._tags.get(arn, {})
            for key in keys:
                kept.pop(key, None)
        self._on_change()

    def tags(self, arn: str) -> dict[str, str]:
        """Copy the tags of an ARN."""
        with self._lock:
            return dict(self._tags.get(arn, {}))

    def arns(self) -> list[str]:
        """List every ARN."""
        with self._lock:
            return list(self._records)

    def save(self, path: Path) -> None:
        """Write everything to a file, atomically."""
        with self._lock:
            content = json.dumps({"records": self._records, "tags": self._tags})
        write_atomically(path, content.encode())

    def load(self, path: Path) -> None:
        """Take over what `save` wrote; a file that is not there is an empty store."""
        if path.exists():
            content = json.loads(path.read_text())
            with self._lock:
                self._records = content["records"]
                self._tags = content["tags"]

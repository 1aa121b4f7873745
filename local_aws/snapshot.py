"""Keeps the state of everything across restarts.

Two seconds after a change at the latest everything is written, later only where a save itself takes long:
SageMaker's and MWAA's records as JSON, moto's backends as pickles, the bytes of larger S3 objects as files
of their own that are written once. Each file is replaced in one step, so that even a kill -9 loses no more
than that.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import moto

from local_aws.files import write_atomically
from local_aws.moto_state import CLOUDFORMATION, Objects, dump_backends, load_backends, used_services
from local_aws.sagemaker.store import Store

_QUIET_S = 0.5
_LONGEST_S = 1.5
_REST = 5  # saves take up a sixth of the time at most, however much there is to save
_ATTEMPTS = 20
log = logging.getLogger(__name__)


class Snapshot:
    """Writes the state soon after it changes, and reads it at the start."""

    def __init__(self, directory: Path, *, kept: bool = True) -> None:
        self._directory = directory
        self._kept = kept
        self._backends = directory / "moto.pickle"
        self._stacks = directory / "cloudformation.pickle"
        self._objects = Objects(directory / "objects")
        self._stores: dict[Path, Store] = {}
        self._state = threading.Condition(threading.RLock())
        self._changes_under_way = 0
        self._saving = False
        self._changed_at: float | None = None
        self._first_changed_at: float | None = None
        self._next_save_at = 0.0
        self._closed = False
        self._saver = threading.Thread(target=self._run, name="snapshot", daemon=True)

    def attach(self, store: Store, name: str) -> None:
        """Name a store of records, and the file that keeps it."""
        self._stores[self._directory / f"{name}.json"] = store

    def note_change(self) -> None:
        """Remember that something changed, to save it soon."""
        with self._state:
            self._changed_at = time.monotonic()
            self._first_changed_at = self._first_changed_at or self._changed_at
            self._state.notify_all()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Hold a save back while moto changes something, and have it saved afterwards."""
        with self._state:
            self._state.wait_for(lambda: not self._saving)
            self._changes_under_way += 1
        try:
            yield
        finally:
            with self._state:
                self._changes_under_way -= 1
                self.note_change()

    def load(self) -> None:
        """Take up the kept state but for CloudFormation's, as far as this version of moto can read it."""
        if not self._kept:
            return
        for file, store in self._stores.items():
            store.load(file)
        self._load(self._backends)

    def load_cloudformation(self) -> None:
        """Take up the kept stacks; apart from the rest, because moto's part of them is slow to import."""
        if self._kept:
            self._load(self._stacks)

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        with path.open("rb") as file:
            _refuse_others_work(file, path)
            kept = json.loads(file.readline())
            if kept == _versions():
                load_backends(file, self._objects)
            else:
                log.warning("%s is of %s, this is %s: starting empty", path, kept, _versions())

    def start(self) -> None:
        """Begin to save, unless nothing is kept."""
        if self._kept:
            self._saver.start()

    def close(self) -> None:
        """Save for the last time."""
        with self._state:
            self._closed = True
            self._state.notify_all()
        if self._kept:
            self._saver.join()

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._closed or self._changed_at is not None)
                while not self._closed and (left := self._wait_s()) > 0:
                    self._state.wait(left)
                closed = self._closed
                self._changed_at = self._first_changed_at = None
            started_at = time.monotonic()
            try:
                self._save()
            except Exception:  # the next change tries again
                log.exception("The state could not be saved")
            ended_at = time.monotonic()
            self._next_save_at = ended_at + _REST * (ended_at - started_at)
            if closed:
                return

    def _wait_s(self) -> float:
        """Tell how long to wait for more changes before saving those there are."""
        if self._changed_at is None or self._first_changed_at is None:
            return 0
        due = min(self._changed_at + _QUIET_S, self._first_changed_at + _LONGEST_S)
        return max(due, self._next_save_at) - time.monotonic()

    def _save(self) -> None:
        for file, store in self._stores.items():
            store.save(file)
        header = json.dumps(_versions()).encode() + b"\n"
        self._objects.begin()
        with self._quiet():
            services = used_services()
            backends = _dump(services - {CLOUDFORMATION}, self._objects)
            stacks = _dump({CLOUDFORMATION}, self._objects) if CLOUDFORMATION in services else None
        write_atomically(self._backends, header + backends)
        if stacks:
            write_atomically(self._stacks, header + stacks)
        self._objects.forget_unused()

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        with self._state:
            self._saving = True
            self._state.wait_for(lambda: self._changes_under_way == 0)
        try:
            yield
        finally:
            with self._state:
                self._saving = False
                self._state.notify_all()


def _dump(services: Collection[str], objects: Objects) -> bytes:
    """Pickle backends; reads that go on meanwhile may make it start anew."""
    for _ in range(_ATTEMPTS):
        with suppress(RuntimeError):  # a dictionary changed its size
            return dump_backends(services, objects)
    return dump_backends(services, objects)


def _refuse_others_work(file: BinaryIO, path: Path) -> None:
    """Refuse a pickle that somebody else may have written: whoever wrote it could run what they like.

    Raises:
        PermissionError: it belongs to somebody else, or others may write to it.
    """
    about = os.fstat(file.fileno())
    if about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise PermissionError(f"{path} may have been written by somebody else: remove it to start empty")


def _versions() -> dict[str, str]:
    return {"moto": moto.__version__}

"""Moto's backends as bytes and back: a pickle of our own making, read by nobody else.

What a pickle cannot hold is replaced: locks are made anew, dictionaries of backends are named by their
service, and the bytes of larger S3 objects stay outside, in files named by their digest.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cloudpickle
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from moto.backends import get_backend
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.s3.models import FakeKey

from local_aws.files import write_atomically

_INLINE_BYTES = 16_384
_DIGEST = "_local_aws_digest"
_LOCKS = {type(threading.Lock()): threading.Lock, type(threading.RLock()): threading.RLock}
Backends = dict[str, dict[str, dict[str, Any]]]


class Objects:
    """The bytes of larger S3 objects, a file each, named by their digest."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(exist_ok=True, mode=0o700)
        self._used: set[str] = set()

    def begin(self) -> None:
        """Start to note what a snapshot uses."""
        self._used = set()

    def keep(self, key: Any) -> str:
        """Write an object's bytes unless they are kept already, and give their digest."""
        digest = str(getattr(key, _DIGEST, ""))  # an object's bytes never change: a new version is a new key
        if not digest:
            value = key.value
            digest = hashlib.sha256(value).hexdigest()
            if not (self._directory / digest).exists():
                write_atomically(self._directory / digest, value)
            setattr(key, _DIGEST, digest)
        self._used.add(digest)
        return digest

    def read(self, digest: str) -> bytes:
        """Read an object's bytes."""
        return (self._directory / digest).read_bytes()

    def forget_unused(self) -> None:
        """Remove what the last snapshot did not use."""
        for path in self._directory.iterdir():
            if path.name not in self._used:
                path.unlink()


CLOUDFORMATION = "cloudformation"


def used_services() -> set[str]:
    """Name the services that have a backend."""
    return {service.service_name for service in list(BackendDict._instances)}  # type: ignore[misc]


def dump_backends(services: Collection[str], objects: Objects) -> bytes:
    """Pickle the backends of some services."""
    backends: Backends = {
        name: {account: dict(regions) for account, regions in _service(name).items()} for name in services
    }
    target = io.BytesIO()
    _Pickler(target, objects).dump(backends)
    return target.getvalue()


def load_backends(source: BinaryIO, objects: Objects) -> None:
    """Put the backends of a pickle in place of those there are."""
    backends: Backends = _Unpickler(source, objects).load()
    for service, accounts in backends.items():
        for account, regions in accounts.items():
            _service(service)[account].update(regions)


def _service(name: str) -> Any:
    find: Callable[[str], Any] = get_backend  # type: ignore[assignment]  # its overloads know literals only
    return find(name)


@dataclass(frozen=True)
class _Value:
    digest: str


def _empty_dictionary(kind: Any, factory: Any) -> Any:
    made = kind.__new__(kind)
    made.default_factory = factory
    return made


def _read_key(content: bytes) -> Any:
    """Read a private key; KMS has some, which no pickle can hold."""
    return load_der_private_key(content, password=None)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, target: BinaryIO, objects: Objects) -> None:
        super().__init__(target)
        self._objects = objects

    def persistent_id(self, obj: Any) -> tuple[str, ...] | None:
        if isinstance(obj, BackendDict):
            return "service", obj.service_name
        if isinstance(obj, AccountSpecificBackend):
            return "account", obj.service_name, obj.account_id
        if isinstance(obj, _Value):
            return "value", obj.digest
        return None

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in _LOCKS:
            return _LOCKS[type(obj)], ()
        if isinstance(obj, threading.Condition):
            return threading.Condition, ()
        if isinstance(obj, FakeKey) and not obj.disposed and obj.size > _INLINE_BYTES:
            digest = self._objects.keep(obj)
            state = {
                name: value for name, value in vars(obj).items() if name not in ("_value_buffer", "lock")
            }
            return object.__new__, (FakeKey,), state | {"value": _Value(digest)}
        if isinstance(obj, RSAPrivateKey):
            return _read_key, (obj.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)
        if isinstance(obj, defaultdict) and type(obj) is not defaultdict:
            # Left to itself, a pickle makes it with its factory as the only argument.
            made = (type(obj), obj.default_factory)
            return _empty_dictionary, made, vars(obj), None, iter(list(obj.items()))
        return super().reducer_override(obj)


class _Unpickler(cloudpickle.pickle.Unpickler):  # type: ignore[misc]
    def __init__(self, source: BinaryIO, objects: Objects) -> None:
        super().__init__(source)
        self._objects = objects

    def persistent_load(self, pid: tuple[str, ...]) -> Any:
        match pid:
            case ("service", service):
                return _service(service)
            case ("account", service, account):
                return _service(service)[account]
            case ("value", digest):
                return self._objects.read(digest)
        raise ValueError(f"unknown reference {pid!r}")

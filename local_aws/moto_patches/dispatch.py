"""Finds a request's service without a look at every folder of moto's."""

from __future__ import annotations

from moto import backends


def apply() -> None:
    """List moto's folders once; it would for each request, and take a millisecond."""
    folders = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: folders

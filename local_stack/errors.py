"""Errors of the stack that a person is meant to read."""

from __future__ import annotations


class DemoError(Exception):
    """A step of the demo did not happen."""

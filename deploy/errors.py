"""Errors of a deployment that a person is meant to read."""

from __future__ import annotations


class DeploymentError(Exception):
    """A deployment cannot go on; the message says why, and the way out."""

"""What can go wrong in a deployment."""

from __future__ import annotations


class DeployError(RuntimeError):
    """Something is missing or refused; the message says what, why and the way out."""

"""Resolved requests, as tasks hand them on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from vigil.training.resolving import resolve
from vigil.training.spec.model import load_model_spec

DUE = datetime(2026, 1, 5)


def request_for(model: str, dag_run: str = "test/one", bucket: str = "bucket") -> dict[str, Any]:
    """Return what a run of a shipped model spec asks for."""
    spec = load_model_spec(model)
    return resolve(spec, [], None, dag_run=dag_run, due_at=DUE, bucket=bucket).to_json()

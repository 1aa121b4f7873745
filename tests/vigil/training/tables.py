"""Small tabular files for tests, and requests that train on them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from tests.vigil.training.history import small_spec
from vigil.training.request import TrainingRun
from vigil.training.resolving import TrainingRequest
from vigil.training.spec.data import Tabular
from vigil.training.spec.model import parse_model_spec

TABULAR = Tabular(kind="tabular", target="late", objective="binary", positive="yes")
HYPERPARAMETERS = {"objective": "binary:logistic", "num_round": 10, "eta": 0.3}


def csv_of(rows: int, seed: int = 0) -> str:
    """Return a CSV in which an order is late when much was ordered from far away; every class is in it."""
    generator = np.random.default_rng(seed)
    amounts = generator.integers(1, 1000, rows)
    countries = generator.choice(["near", "far"], rows)
    late = np.where((amounts > 500) == (countries == "far"), "yes", "no")
    late[:2] = ["yes", "no"]
    countries[:2] = ["near", "far"]
    lines = [f"{a},{c},{y}" for a, c, y in zip(amounts, countries, late, strict=True)]
    return "\n".join(["amount,country,late", *lines]) + "\n"


def tabular_spec(name: str = "m", **changes: Any) -> dict[str, Any]:
    """Return the model spec of such files, quick to train and easy to pass."""
    spec = small_spec(name=name, endpoint={"name": name, "instance_type": "ml.m5.large"})
    del spec["band"]
    return (
        spec
        | {
            "data": TABULAR.model_dump(exclude_unset=True),
            "split": {"method": "stratified"},
            "algorithm": {**spec["algorithm"], "hyperparameters": HYPERPARAMETERS},
            "gates": {"min_auc": 0.6},
        }
        | changes
    )


def request_of(bucket: str, dag_run: str) -> TrainingRequest:
    """Return the resolved request of a run of the model `m`."""
    spec = parse_model_spec(tabular_spec())
    return TrainingRequest(
        TrainingRun("m", f"run-{dag_run}", bucket), spec, {}, datetime(2026, 11, 2, 4), dag_run
    )

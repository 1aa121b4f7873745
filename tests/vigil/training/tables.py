"""Tables that people drop, and requests to train on them."""

# REBUILT from its uses in test_incoming.py: the first version, not committed yet, was overwritten by mistake
# by the tabular part on 2026-11-21 at 12:59. Its owner puts the own version back, or takes this comment out.

from __future__ import annotations

from datetime import datetime

import numpy as np

from tests.vigil.training.history import small_spec
from vigil.training.resolving import TrainingRequest, resolve
from vigil.training.spec.data import Tabular
from vigil.training.spec.model import parse_model_spec

DUE = datetime(2026, 11, 2, 4)
TABULAR = Tabular(kind="tabular", target="kind", objective="binary")


def csv_of(rows: int, seed: int = 0) -> str:
    """Return a CSV with a column of numbers, one of categories, and a target of two classes in turn."""
    draws = np.random.default_rng(seed)
    lines = ["amount,colour,kind"]
    for row in range(rows):
        lines.append(f"{draws.normal():.4f},{('red', 'blue')[row % 2]},{('good', 'bad')[row % 2]}")
    return "\n".join(lines) + "\n"


def request_of(bucket: str, run: str) -> TrainingRequest:
    """Return what a run of the model `m` asks for."""
    content = small_spec(
        name="m", data=TABULAR.model_dump(), split={"method": "random"}, gates={"min_auc": 0.5}
    )
    del content["band"]
    content["algorithm"]["hyperparameters"] = {"objective": "binary:logistic", "num_round": 5}
    return resolve(parse_model_spec(content), [], None, dag_run=run, due_at=DUE, bucket=bucket)

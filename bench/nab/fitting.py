"""Fits the algorithm of a model spec by what stands in for its image, without the container around it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray

from local_aws.algorithms import linear_learner, xgboost_hyperparameters
from local_aws.algorithms.boosting import fit_booster
from local_aws.algorithms.hyperparameters import parse_all
from vigil.training.spec.machines import Algorithm

Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Says how many events to expect of windows by their features, shapes (n, k) and (n,)."""


@dataclass(frozen=True)
class Rows:
    """Windows to learn from.

    Attributes:
        features: shape (n, k).
        labels: events, shape (n,).
    """

    features: NDArray[np.float64]
    labels: NDArray[np.float64]


def fit(algorithm: Algorithm, train: Rows, validation: Rows) -> Predict:
    """Fit an algorithm.

    Args:
        algorithm: of the model spec.
        train: rows to learn from.
        validation: rows that say when to stop, of algorithms that ask for it.
    """
    # What a container logs has no reader here.
    with redirect_stdout(io.StringIO()):
        return _FITS[algorithm.repository](algorithm.hyperparameters, train, validation)


def _trees(hyperparameters: Mapping[str, str], train: Rows, validation: Rows) -> Predict:
    # So small a training gains nothing by a second thread, and waits for it where cores are few.
    given = parse_all(xgboost_hyperparameters.KINDS, {"nthread": "1"} | dict(hyperparameters))
    parts = {
        name: xgboost.DMatrix(rows.features, label=rows.labels)
        for name, rows in (("train", train), ("validation", validation))
    }
    booster = fit_booster(given, parts)
    return lambda features: np.asarray(booster.predict(xgboost.DMatrix(features)), dtype=float)


def _linear(hyperparameters: Mapping[str, str], train: Rows, validation: Rows) -> Predict:
    del validation
    given = parse_all(linear_learner.KINDS, hyperparameters)
    # As wide as the numbers are that the image reads.
    model = linear_learner.fit_linear(
        given, train.features.astype(np.float32), train.labels.astype(np.float32)
    )
    return lambda features: model.scores(features.astype(np.float32)).astype(float)


_FITS = {"sagemaker-xgboost": _trees, "linear-learner": _linear}

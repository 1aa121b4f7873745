"""Stands in for the SageMaker XGBoost image: the real library behind the cloud's names and formats."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

# The library looks for all of these only to work with them too, and that takes it longer than all the rest.
# ruff: noqa: E402 - what is loaded here depends on these lines
sys.modules["sklearn"] = None  # type: ignore[assignment]
sys.modules["pandas"] = None  # type: ignore[assignment]
np.f2py = np.testing = None  # type: ignore[assignment]

import xgboost

from local_aws.algorithms import contract
from local_aws.algorithms.boosting import fit_booster
from local_aws.algorithms.contract import UserError
from local_aws.algorithms.http_server import BadRequestError, Reply, serve
from local_aws.algorithms.hyperparameters import parse_all
from local_aws.algorithms.tables import CSV_TYPES, LIBSVM_TYPES, parse_csv, parse_libsvm, read_csv
from local_aws.algorithms.xgboost_hyperparameters import KINDS

MODEL_FILE = "xgboost-model"


def train() -> None:
    """Train on the channels and keep the booster."""
    given = parse_all(KINDS, contract.hyperparameters())
    weighted = given.get("csv_weights") == 1
    parts = {name: _read_channel(name, weighted) for name in ("train", "validation")}
    if parts["train"] is None:
        raise UserError("No training data: the channel train is missing or empty")
    booster = fit_booster(given, {name: part for name, part in parts.items() if part is not None})
    contract.model_directory().mkdir(parents=True, exist_ok=True)
    # The booster's own format is told by the file's ending, and the cloud's name has none.
    (contract.model_directory() / MODEL_FILE).write_bytes(booster.save_raw("ubj"))


def _read_channel(name: str, weighted: bool) -> xgboost.DMatrix | None:
    files = contract.channel_files(name)
    if not files:
        return None
    content_type = contract.content_type(name) or "text/libsvm"
    if content_type in CSV_TYPES:
        return _from_csv(name, files, weighted)
    if content_type in LIBSVM_TYPES:
        return _from_libsvm(name, files)
    raise UserError(f"Content type {content_type} of channel {name} is not one of text/csv, text/libsvm")


def _from_csv(name: str, files: list[Path], weighted: bool) -> xgboost.DMatrix:
    table = read_csv(files)
    first = 2 if weighted else 1
    if table.shape[1] <= first:
        raise UserError(f"Channel {name} needs the label and at least one feature in every row")
    weight = table[:, 1] if weighted else None
    return xgboost.DMatrix(table[:, first:], label=table[:, 0], weight=weight)


def _from_libsvm(name: str, files: list[Path]) -> xgboost.DMatrix:
    lines = [line for file in files for line in file.read_text().splitlines()]
    try:
        labels, features = parse_libsvm(lines)
    except ValueError as error:
        raise UserError(f"Could not read channel {name} as libsvm: {error}") from error
    return xgboost.DMatrix(features, label=labels)


def serve_model() -> None:
    """Answer predictions of the booster in the model directory."""
    booster = xgboost.Booster()
    booster.load_model(bytearray((contract.model_directory() / MODEL_FILE).read_bytes()))
    serve(lambda body, content_type, accept: _reply(_predict(booster, body, content_type), accept))


def _predict(booster: xgboost.Booster, body: bytes, content_type: str) -> Any:
    try:
        features = _parse_features(body, content_type)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadRequestError(f"Unable to evaluate payload provided: {error}") from error
    rows, columns = features.shape
    if rows == 0:
        raise BadRequestError("Unable to evaluate payload provided: no rows")
    trained = booster.num_features()
    if content_type in CSV_TYPES and columns != trained:
        raise BadRequestError(
            f"Unable to evaluate payload provided: Feature size of {content_type.split('/')[-1]} inference"
            f" data {columns} is not consistent with feature size of trained model {trained}."
        )
    return booster.predict(xgboost.DMatrix(features), validate_features=False)


def _parse_features(body: bytes, content_type: str) -> Any:
    lines = body.decode().splitlines()
    if content_type in CSV_TYPES:
        return parse_csv(lines)
    if content_type in LIBSVM_TYPES:
        return parse_libsvm(lines)[1]
    raise BadRequestError(f"Content type {content_type} is not supported.", 415)


def _reply(predictions: Any, accept: str) -> Reply:
    scores = np.asarray(predictions).tolist()
    if accept == "application/json":
        return Reply(json.dumps({"predictions": [{"score": score} for score in scores]}), accept)
    if accept == "application/jsonlines":
        return Reply("".join(json.dumps({"score": score}) + "\n" for score in scores), accept)
    if accept in ("", "*/*", *CSV_TYPES):
        return Reply("".join(f"{_as_csv(score)}\n" for score in scores), "text/csv")
    raise BadRequestError(f"Accept type {accept} is not supported.", 406)


def _as_csv(score: float | list[float]) -> str:
    return ",".join(map(str, score)) if isinstance(score, list) else str(score)


if __name__ == "__main__":
    contract.run({"train": train, "serve": serve_model})

"""Stands in for the Linear Learner image: scikit-learn behind the cloud's names and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local_aws.algorithms import contract
from local_aws.algorithms.contract import UserError
from local_aws.algorithms.http_server import BadRequestError, Reply, serve
from local_aws.algorithms.hyperparameters import integer, number, one_of, parse_all, text
from local_aws.algorithms.tables import CSV_TYPES, Matrix, parse_csv, read_csv

MODEL_FILE = "linear-model.npz"
REGRESSOR, BINARY, MULTICLASS = "regressor", "binary_classifier", "multiclass_classifier"
_LOSSES = {
    REGRESSOR: [
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ],
    BINARY: ["logistic", "hinge_loss"],
    MULTICLASS: ["softmax_loss"],
}
_BOOLEANS = ("true", "false")
_ROUNDING = 1e-6
_LEAST_DECAY = 1e-4  # with none at all, classes that can be told apart have no best weights
KINDS = {
    "predictor_type": one_of(*_LOSSES, required=True),
    "feature_dim": text(),
    "num_classes": integer(3, 1_000_000),
    "mini_batch_size": text(),
    "epochs": integer(1),
    "learning_rate": text(),
    "loss": one_of("auto", *(loss for losses in _LOSSES.values() for loss in losses)),
    "l1": text(),
    "wd": text(),
    "quantile": number(0, 1),
    "loss_insensitivity": number(0),
    "huber_delta": number(0),
    "normalize_data": one_of("auto", *_BOOLEANS),
    "normalize_label": one_of("auto", *_BOOLEANS),
    "unbias_data": one_of("auto", *_BOOLEANS),
    "unbias_label": one_of("auto", *_BOOLEANS),
    "use_bias": one_of("auto", *_BOOLEANS),
    "optimizer": one_of("auto", "sgd", "adam", "rmsprop"),
    "num_models": text(),
    "num_calibration_samples": text(),
    "init_method": one_of("uniform", "normal"),
    "init_scale": number(0),
    "init_sigma": number(0),
    "init_bias": number(),
    "momentum": text(),
    "beta_1": text(),
    "beta_2": text(),
    "bias_lr_mult": text(),
    "bias_wd_mult": text(),
    "lr_scheduler_factor": text(),
    "lr_scheduler_minimum_lr": text(),
    "lr_scheduler_step": text(),
    "use_lr_scheduler": one_of(*_BOOLEANS),
    "early_stopping_patience": integer(1),
    "early_stopping_tolerance": number(0),
    "margin": number(0),
    "f_beta": number(0),
    "target_precision": number(0, 1),
    "target_recall": number(0, 1),
    "positive_example_weight_mult": text(),
    "balance_multiclass_weights": one_of(*_BOOLEANS),
    "accuracy_top_k": integer(1),
    "binary_classifier_model_selection_criteria": one_of(
        "accuracy",
        "f1",
        "f_beta",
        "precision_at_target_recall",
        "recall_at_target_precision",
        "loss_function",
    ),
}


@dataclass(frozen=True)
class LinearModel:
    """What was learned: a row of weights and a bias for every output."""

    predictor_type: str
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def scores(self, features: Matrix) -> NDArray[np.float64]:
        """Compute one score a row, or for many classes one a class."""
        linear = features @ self.weights.T + self.bias
        if self.predictor_type == MULTICLASS:
            powers = np.exp(linear - linear.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        return np.asarray(1 / (1 + np.exp(-linear[:, 0])) if self.predictor_type == BINARY else linear[:, 0])

    def labels(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Choose the label that scores call for."""
        return np.asarray(scores.argmax(axis=1) if scores.ndim > 1 else scores > 0.5).astype(np.int64)

    def save(self, directory: Path) -> None:
        """Write the model as plain arrays."""
        np.savez(
            directory / MODEL_FILE,
            predictor_type=np.array(self.predictor_type),
            weights=self.weights,
            bias=self.bias,
        )

    @classmethod
    def load(cls, directory: Path) -> LinearModel:
        """Read a model, as arrays and nothing else."""
        with np.load(directory / MODEL_FILE, allow_pickle=False) as kept:
            return cls(str(kept["predictor_type"]), kept["weights"], kept["bias"])


def train() -> None:
    """Train on the channels, log the metrics, keep the weights."""
    given = parse_all(KINDS, contract.hyperparameters())
    parts = {name: _read_channel(name, given) for name in ("train", "validation", "test")}
    if parts["train"] is None:
        raise UserError("No training data: the channel train is missing or empty")
    model = fit_linear(given, *parts["train"])
    for name, part in parts.items():
        if part is not None:
            _log_metrics(name, model, *part)
    model.save(contract.model_directory())


def _read_channel(name: str, given: dict[str, Any]) -> tuple[Matrix, Matrix] | None:
    files = contract.channel_files(name)
    if not files:
        return None
    content_type = contract.content_type(name) or "application/x-recordio-protobuf"
    if content_type not in CSV_TYPES:
        raise UserError(
            f"Content type {content_type} of channel {name} is not text/csv, the only one known here"
        )
    table = read_csv(files)
    features = table.shape[1] - 1
    if features < 1 or given.get("feature_dim", "auto") not in ("auto", str(features)):
        raise UserError(
            f"Channel {name} has {features} features, feature_dim is {given.get('feature_dim', 'auto')}"
        )
    if not np.isfinite(table).all():
        raise UserError(f"Channel {name} has missing values, which a linear model cannot take")
    return table[:, 1:], table[:, 0]


def fit_linear(given: dict[str, Any], features: Matrix, labels: Matrix) -> LinearModel:
    """Fit on normalised features and give the weights for the features as they came.

    Args:
        given: hyperparameters by the cloud's names, parsed.
        features: shape (n, k).
        labels: shape (n,).

    Raises:
        UserError: the hyperparameters contradict each other or the labels.
    """
    _check_labels(given, labels)
    features = features.astype(np.float64)
    centre, scale = features.mean(axis=0), features.std(axis=0)
    if given.get("normalize_data") == "false":
        centre, scale = np.zeros_like(centre), np.ones_like(scale)
    # A column that never varies still does by rounding, and would get any weight.
    scale[scale <= _ROUNDING * np.abs(centre)] = 1
    estimator = _estimator(given, len(labels))
    estimator.fit((features - centre) / scale, labels)
    weights = np.atleast_2d(estimator.coef_) / scale
    bias = np.atleast_1d(estimator.intercept_) - weights @ centre
    return LinearModel(given["predictor_type"], weights, bias)


def _check_labels(given: dict[str, Any], labels: Matrix) -> None:
    kind = given["predictor_type"]
    if kind == BINARY and not set(np.unique(labels)) == {0, 1}:
        raise UserError("The labels of a binary_classifier must be 0 and 1, and both must occur")
    if kind == MULTICLASS:
        classes = given.get("num_classes")
        if classes is None:
            raise UserError("Missing required hyperparameter: num_classes")
        if set(np.unique(labels)) != set(range(classes)):
            raise UserError(
                f"The labels of a multiclass_classifier must be 0 to {classes - 1}, each at least once"
            )


def _estimator(given: dict[str, Any], rows: int) -> Any:
    """Choose scikit-learn's way to minimise the wanted loss."""
    from sklearn import linear_model, svm

    kind, loss = given["predictor_type"], given.get("loss", "auto")
    loss = _LOSSES[kind][0] if loss == "auto" else loss
    if loss not in _LOSSES[kind]:
        raise UserError(f"Hyperparameter loss: {loss} is not in {_LOSSES[kind]} of a {kind}")
    l1, wd = _penalty(given, "l1"), _penalty(given, "wd")
    if loss in ("logistic", "softmax_loss"):
        return linear_model.LogisticRegression(C=1 / (max(wd, _LEAST_DECAY) * rows), max_iter=1000)
    if loss == "hinge_loss":
        return svm.LinearSVC(C=1 / (max(wd, _LEAST_DECAY) * rows), loss="hinge", max_iter=20_000)
    if loss == "squared_loss":
        if l1:
            return linear_model.ElasticNet(alpha=l1 + wd, l1_ratio=l1 / (l1 + wd))
        # Without a penalty, columns that follow from each other have no best weights, but smallest ones.
        return linear_model.Ridge(alpha=wd * rows) if wd else linear_model.LinearRegression()
    if loss == "huber_loss":
        return linear_model.HuberRegressor(epsilon=max(1.0, given.get("huber_delta", 1.35)), alpha=wd)
    if loss in ("absolute_loss", "quantile_loss"):
        quantile = given.get("quantile", 0.5) if loss == "quantile_loss" else 0.5
        return linear_model.QuantileRegressor(quantile=quantile, alpha=l1)
    name = "squared_epsilon_insensitive" if "squared" in loss else "epsilon_insensitive"
    margin = given.get("loss_insensitivity", 0.01)
    return linear_model.SGDRegressor(loss=name, epsilon=margin, alpha=max(wd, 1e-7), random_state=0)


def _penalty(given: dict[str, Any], name: str) -> float:
    value = given.get(name, "auto")
    try:
        return 0.0 if value == "auto" else float(value)
    except ValueError as error:
        raise UserError(f"Hyperparameter {name}: could not parse value {value!r}") from error


def _log_metrics(part: str, model: LinearModel, features: Matrix, labels: Matrix) -> None:
    scores = model.scores(features)
    for name, value in _metrics(model, scores, labels).items():
        print(f"#quality_metric: host=algo-1, {part} {name} <loss>={value:.10g}", flush=True)


def _metrics(model: LinearModel, scores: NDArray[np.float64], labels: Matrix) -> dict[str, float]:
    if model.predictor_type == REGRESSOR:
        error = scores - labels
        mse = float(np.mean(error**2))
        return {"objective_loss": mse, "mse": mse, "absolute_loss": float(np.mean(np.abs(error)))}
    chosen = model.labels(scores)
    accuracy = float(np.mean(chosen == labels))
    rows = np.arange(len(labels))
    certainty = (
        scores[rows, labels.astype(int)] if scores.ndim > 1 else np.where(labels == 1, scores, 1 - scores)
    )
    loss = {"objective_loss": float(-np.mean(np.log(np.clip(certainty, 1e-15, 1))))}
    if model.predictor_type == MULTICLASS:
        return loss | {"multiclass_accuracy": accuracy}
    hits = float(np.sum((chosen == 1) & (labels == 1)))
    precision, recall = hits / max(1.0, float(np.sum(chosen))), hits / max(1.0, float(np.sum(labels)))
    f_beta = 2 * precision * recall / max(1e-15, precision + recall)
    return loss | {
        "binary_classification_accuracy": accuracy,
        "precision": precision,
        "recall": recall,
        "binary_f_beta": f_beta,
    }


def serve_model() -> None:
    """Answer predictions of the model in the model directory."""
    model = LinearModel.load(contract.model_directory())
    serve(lambda body, content_type, accept: _reply(model, _parse(model, body, content_type), accept))


def _parse(model: LinearModel, body: bytes, content_type: str) -> Matrix:
    try:
        if content_type in CSV_TYPES:
            features = parse_csv(body.decode().splitlines())
        elif content_type == "application/json":
            instances = json.loads(body)["instances"]
            features = np.array([instance["features"] for instance in instances], np.float32, ndmin=2)
        else:
            raise BadRequestError(f"Content type {content_type} is not supported.", 415)
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequestError(f"unable to parse the payload: {error}") from error
    wanted = model.weights.shape[1]
    if features.size == 0 or features.shape[1] != wanted:
        raise BadRequestError(
            f"The payload has {features.shape[-1]} features a row, the model takes {wanted}."
        )
    return features


def _reply(model: LinearModel, features: Matrix, accept: str) -> Reply:
    scores = model.scores(features)
    rows: list[dict[str, Any]] = [{"score": score} for score in scores.tolist()]
    if model.predictor_type != REGRESSOR:
        rows = [
            row | {"predicted_label": label}
            for row, label in zip(rows, model.labels(scores).tolist(), strict=True)
        ]
    if accept in ("", "*/*", "application/json"):
        return Reply(json.dumps({"predictions": rows}), "application/json")
    if accept == "application/jsonlines":
        return Reply("".join(f"{json.dumps(row)}\n" for row in rows), accept)
    if accept in CSV_TYPES:
        return Reply("".join(f"{_as_csv(row)}\n" for row in rows), "text/csv")
    raise BadRequestError(f"Accept type {accept} is not supported.", 406)


def _as_csv(row: dict[str, Any]) -> str:
    values = np.atleast_1d(row["score"]).tolist() + (
        [row["predicted_label"]] if "predicted_label" in row else []
    )
    return ",".join(map(str, values))


if __name__ == "__main__":
    contract.run({"train": train, "serve": serve_model})

"""Trains gradient-boosted trees by the cloud's hyperparameters; what trains them reads no container."""

from __future__ import annotations

from typing import Any

import xgboost

from local_aws.algorithms.contract import UserError

_NOT_FOR_THE_BOOSTER = [
    "num_round",
    "csv_weights",
    "early_stopping_rounds",
    "eval_metric",
    "save_model_on_termination",
    "deterministic_histogram",
    "sketch_eps",
]


def fit_booster(given: dict[str, Any], parts: dict[str, xgboost.DMatrix]) -> xgboost.Booster:
    """Fit trees as the image does, and log its metrics.

    Args:
        given: hyperparameters by the cloud's names, parsed.
        parts: `train`, and `validation` if there is one.

    Raises:
        UserError: the library refuses what was given.
    """
    parameters = {name: value for name, value in given.items() if name not in _NOT_FOR_THE_BOOSTER}
    if parameters.get("objective") == "reg:linear":
        parameters["objective"] = "reg:squarederror"
    if "eval_metric" in given:
        parameters["eval_metric"] = given["eval_metric"].split(",")
    try:
        return xgboost.train(
            parameters,
            parts["train"],
            num_boost_round=given["num_round"],
            evals=[(part, name) for name, part in parts.items()],
            callbacks=[_CloudLog(), *_early_stopping(given, parts)],
            verbose_eval=False,
        )
    except xgboost.core.XGBoostError as error:
        raise UserError(str(error).splitlines()[0]) from error


def _early_stopping(given: dict[str, Any], parts: dict[str, Any]) -> list[xgboost.callback.EarlyStopping]:
    if "early_stopping_rounds" not in given:
        return []
    watched = "validation" if "validation" in parts else "train"
    rounds = given["early_stopping_rounds"]
    return [xgboost.callback.EarlyStopping(rounds=rounds, data_name=watched, save_best=True)]


class _CloudLog(xgboost.callback.TrainingCallback):
    """Logs each round as the cloud's container does: with #011, which CloudWatch makes of a tab."""

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: dict[str, Any]) -> bool:
        scores = [
            f"#011{part}-{metric}:{values[-1]:.5f}"
            for part, metrics in evals_log.items()
            for metric, values in metrics.items()
        ]
        print(f"[{epoch}]{''.join(scores)}", flush=True)
        return False

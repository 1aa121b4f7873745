"""Which image is stood in for by which module.

An image is known by its repository's name, whatever its account, region, tag or digest. To add one, write a
module with `train` and `serve` beside this file and name it below.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from local_aws.sagemaker.errors import client_error


@dataclass(frozen=True)
class StandIn:
    """What runs in place of an image.

    Attributes:
        module: The module that trains and serves, or nothing for an image that only runs scripts.
        own_metrics: The names and expressions of the metrics that the image reports by itself.
        fixed_metrics: Whether the cloud refuses other metric definitions for the image.
    """

    image: str
    module: str | None = None
    own_metrics: tuple[tuple[str, str], ...] = ()
    fixed_metrics: bool = False

    def train_command(self) -> list[str]:
        """Name the command that trains."""
        return self._command("train")

    def serve_command(self) -> list[str]:
        """Name the command that serves."""
        return self._command("serve")

    def _command(self, verb: str) -> list[str]:
        if self.module is None:
            raise client_error(f"The image {self.image} runs scripts in Processing only; see {_THIS_FILE}")
        return [sys.executable, "-m", self.module, verb]


_THIS_FILE = "local_aws/algorithms/registry.py"
_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"


def _xgboost_metrics() -> tuple[tuple[str, str], ...]:
    names: tuple[str, ...] = (
        "rmse",
        "rmsle",
        "mae",
        "mape",
        "logloss",
        "error",
        "merror",
        "mlogloss",
        "auc",
        "aucpr",
        "ndcg",
    )
    names += ("map", "poisson-nloglik", "gamma-nloglik", "gamma-deviance", "mphe")
    return tuple(
        (f"{part}:{name}", rf".*\[[0-9]+\].*#011{part}-{name}:{_NUMBER}.*")
        for part in ("train", "validation")
        for name in names
    )


def _linear_learner_metrics() -> tuple[tuple[str, str], ...]:
    names: tuple[str, ...] = (
        "objective_loss",
        "mse",
        "absolute_loss",
        "binary_classification_accuracy",
        "binary_f_beta",
    )
    names += ("precision", "recall", "roc_auc_score", "multiclass_accuracy", "macro_f_beta")
    return tuple(
        (f"{part}:{name}", rf"#quality_metric: host=\S+, {part} {name} <\w+>={_NUMBER}")
        for part in ("train", "validation", "test")
        for name in names
    )


_XGBOOST = "local_aws.algorithms.xgboost"
_STAND_INS = {
    stand_in.image: stand_in
    for stand_in in (
        StandIn("sagemaker-xgboost", _XGBOOST, _xgboost_metrics()),
        StandIn("xgboost", _XGBOOST, _xgboost_metrics()),
        StandIn("linear-learner", "local_aws.algorithms.linear_learner", _linear_learner_metrics(), True),
        StandIn("sagemaker-scikit-learn"),
    )
}


def repository(image: str) -> str:
    """Take the repository's name out of an image's URI."""
    return image.split("@", 1)[0].rsplit("/", 1)[-1].split(":", 1)[0]


def stand_in(image: str) -> StandIn:
    """Find what stands in for an image, or fail naming the file to extend."""
    known = _STAND_INS.get(repository(image))
    if known is None:
        raise client_error(
            f"The embedded AWS has no stand-in for the image {image}."
            f" It knows {', '.join(_STAND_INS)}; add one in {_THIS_FILE}"
        )
    return known

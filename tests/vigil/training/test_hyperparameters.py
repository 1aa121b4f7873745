from __future__ import annotations

import pytest

from vigil.errors import SettingsError
from vigil.training.hyperparameters import check_hyperparameters
from vigil.training.spec.model import known_models, load_model_spec


@pytest.mark.parametrize("name", known_models())
def test_the_shipped_specs_pass(name: str) -> None:
    spec = load_model_spec(name)
    check_hyperparameters(spec.algorithm.repository, spec.algorithm.hyperparameters, spec.objective)


def test_an_image_of_ones_own_takes_anything() -> None:
    check_hyperparameters("our-trainer", {"anything": "goes"}, "binary")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)num_round is not set.*colour is unknown.*eta: 2"):
        check_hyperparameters("sagemaker-xgboost", {"colour": "red", "eta": "2"}, "regression")


def test_several_classes_need_their_number() -> None:
    given = {"num_round": "5", "objective": "multi:softprob"}
    with pytest.raises(SettingsError, match="num_class is not set, and multi:softprob needs it"):
        check_hyperparameters("sagemaker-xgboost", given, "multiclass")
    check_hyperparameters("sagemaker-xgboost", {**given, "num_class": "3"}, "multiclass")


@pytest.mark.parametrize("value", ["1e-3", "0.001", "1"])
def test_numbers_are_read_as_sagemaker_reads_them(value: str) -> None:
    check_hyperparameters("sagemaker-xgboost", {"num_round": "5", "eta": value}, "regression")

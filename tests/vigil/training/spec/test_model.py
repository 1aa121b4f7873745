from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tests.vigil.training.history import small_spec
from vigil.errors import SettingsError
from vigil.features import FEATURE_NAMES
from vigil.paths import configs_dir
from vigil.training.images import image_uri, refuse_strange_image
from vigil.training.spec.model import load_model_spec, parse_model_spec

SHIPPED = sorted(path.stem for path in (configs_dir() / "models").glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_spec_can_be_used_in_every_region_of_its_image(name: str) -> None:
    spec = load_model_spec(name)
    assert spec.name == name
    images = yaml.safe_load((configs_dir() / "images.yaml").read_text())
    regions = images["accounts"]["frameworks"].keys() & images["accounts"]["algorithms"].keys()
    assert len(regions) > 20
    for region in regions:
        assert region in spec.algorithm.uri(region)
        assert region in spec.evaluation.uri(region)


def test_the_linear_learner_is_told_how_many_features_there_are() -> None:
    spec = load_model_spec("event-counts-linear")
    assert spec.algorithm.hyperparameters["feature_dim"] == str(len(FEATURE_NAMES))


def test_hyperparameters_become_strings_as_sagemaker_takes_them() -> None:
    algorithm = {**small_spec()["algorithm"], "hyperparameters": {"eta": 0.1, "num_round": 5, "silent": True}}
    spec = parse_model_spec(small_spec(algorithm=algorithm))
    assert spec.algorithm.hyperparameters == {"eta": "0.1", "num_round": "5", "silent": "true"}


def test_a_spec_cannot_be_changed() -> None:
    spec = parse_model_spec(small_spec())
    with pytest.raises(ValidationError, match="frozen"):
        spec.split.train = 0.5


def test_a_missing_spec_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match="did you mean event-counts"):
        load_model_spec("event-count")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("data", {"histroy_days": 9}, "data.histroy_days is unknown: did you mean history_days"),
        ("data", {"history_days": 7, "warm_up_days": 7}, "lower the one or raise the other"),
        ("split", {"train": 0.8}, "make 1.1, not 1"),
        ("split", {"train": 1.2}, "split.train: Input should be less than 1"),
        ("algorithm", {"image_uri": "1.dkr.ecr.eu-west-1.amazonaws.com/own:1"}, "remove image and version"),
        ("algorithm", {"image": None}, "give image and version, or image_uri"),
        ("training", {"instance_type": "m5.large"}, "training.instance_type"),
        ("training", {"max_runtime_min": 0}, "training.max_runtime_min"),
        ("evaluation", {"max_runtime_min": 12_961}, "evaluation.max_runtime_min"),
        ("gates", {"min_coverage": 0.99, "max_coverage": 0.9}, "swap them"),
        ("gates", {"min_coverage": 0.999}, "above band.coverage"),
        (
            "gates",
            {"not_worse_than_champion": {"metric": "auc", "by": 0}},
            "which a regression model does not have",
        ),
        ("endpoint", {"serverless": {}}, "exclude each other"),
        ("endpoint", {"instance_type": None}, "give instance_type, or serverless"),
        ("endpoint", {"name": "bad_name"}, "endpoint.name"),
    ],
)
def test_what_is_unknown_or_contradictory_is_refused_with_the_way_out(
    part: str, change: dict[str, Any], message: str
) -> None:
    content = small_spec()
    content[part] = {**content.get(part, {}), **change}
    with pytest.raises(SettingsError) as error:
        parse_model_spec(content)
    assert message in str(error.value)


def test_every_mistake_is_named_at_once() -> None:
    content = small_spec(colour="red")
    del content["training"]
    with pytest.raises(SettingsError, match=r"(?s)training is not set.*colour is unknown"):
        parse_model_spec(content)


@pytest.mark.parametrize(
    ("name", "version", "region", "message"),
    [
        ("sagemaker-xgbost", "1.7-1", "eu-west-1", "sagemaker-xgboost"),
        ("sagemaker-xgboost", "latest", "eu-west-1", "1.7-1"),
        ("sagemaker-xgboost", "1.7-1", "eu-west-9", "image_uri"),
    ],
)
def test_an_image_that_is_not_listed_is_refused_with_what_is(
    name: str, version: str, region: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        image_uri(name, version, region)


def test_chinese_regions_have_their_own_domain() -> None:
    assert image_uri("linear-learner", "1", "cn-north-1").split("/")[0].endswith(".amazonaws.com.cn")


@pytest.mark.parametrize(
    "uri",
    [
        "999999999999.dkr.ecr.eu-west-1.amazonaws.com/own:1",
        "evil.example/own:1",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/own:1",
        "evil.example/123456789012.dkr.ecr.eu-west-1.amazonaws.com/own:1",
    ],
)
def test_an_image_of_strangers_is_refused_and_ones_own_and_amazons_are_not(uri: str) -> None:
    with pytest.raises(SettingsError, match="The manifest asks for the image"):
        refuse_strange_image(uri, "123456789012", "the manifest")
    refuse_strange_image("123456789012.dkr.ecr.eu-west-1.amazonaws.com/own:1", "123456789012", "the manifest")
    refuse_strange_image(image_uri("linear-learner", "1", "eu-west-1"), "123456789012", "the manifest")

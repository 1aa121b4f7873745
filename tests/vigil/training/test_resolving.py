from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.vigil.training.history import small_spec
from vigil.errors import SettingsError
from vigil.paths import configs_dir
from vigil.training.overrides import Overrides, manifest_schema, parse_overrides
from vigil.training.resolving import (
    Inherited,
    Said,
    TrainingRequest,
    inherit_mode,
    inherited,
    resolve,
)
from vigil.training.spec.model import parse_model_spec

DUE = datetime(2026, 11, 2, 4)


def said(origin: str, **content: Any) -> Said:
    return Said(origin, parse_overrides(content, f"the {origin}"))


def resolved(
    *voices: Said, inherit: Inherited | None = None, spec: dict[str, Any] | None = None
) -> TrainingRequest:
    return resolve(
        parse_model_spec(spec or small_spec()),
        list(voices),
        inherit,
        dag_run="retrain_weekly/manual",
        due_at=DUE,
        bucket="b",
    )


def test_without_a_say_the_model_spec_stands() -> None:
    request = resolved()
    assert request.spec == parse_model_spec(small_spec())
    assert request.origins == {}
    assert request.run.run.startswith("20261102T0400Z-")


def test_the_form_beats_the_manifest_which_beats_what_is_inherited_which_beats_the_spec() -> None:
    request = resolved(
        said("manifest", hyperparameters={"eta": 0.2, "max_depth": 3}, instance={"type": "ml.m5.4xlarge"}),
        said("form", hyperparameters={"eta": 0.1}),
        inherit=Inherited("job", {"objective": "count:poisson", "num_round": "7", "eta": "0.9"}),
    )
    assert request.spec.algorithm.hyperparameters == {
        "objective": "count:poisson", "num_round": "7", "eta": "0.1", "max_depth": "3",
    }  # fmt: skip
    assert request.spec.training.instance_type == "ml.m5.4xlarge"
    assert request.origins == {
        "algorithm.hyperparameters.objective": "job",
        "algorithm.hyperparameters.num_round": "job",
        "algorithm.hyperparameters.max_depth": "manifest",
        "algorithm.hyperparameters.eta": "form",
        "training.instance_type": "manifest",
    }
    assert "algorithm.hyperparameters.eta = 0.1  (form)" in request.lines()
    assert "endpoint.name = small  (model spec)" in request.lines()


def test_null_takes_a_hyperparameter_away() -> None:
    request = resolved(said("form", hyperparameters={"eta": None, "seed": 3}))
    assert "eta" not in request.spec.algorithm.hyperparameters
    assert request.spec.algorithm.hyperparameters["seed"] == "3"


def test_parts_of_a_part_can_be_changed_and_the_rest_stays() -> None:
    request = resolved(said("form", gates={"max_wape": 0.1}, split={"seed": 5}, approval="person"))
    assert request.spec.gates.max_wape == 0.1
    assert request.spec.gates.min_coverage == 0.9
    assert request.spec.split.seed == 5
    assert request.spec.approval.by == "person"


def test_an_image_by_digest_takes_the_place_of_the_tag_that_the_model_follows() -> None:
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    algorithm = {"image_uri": f"{registry}/trainer:stable", "retrain_on_push": True}
    pushed = f"{registry}/trainer@sha256:abc"
    request = resolved(said("image push", image_uri=pushed), spec=small_spec(algorithm=algorithm))
    assert request.spec.algorithm.image_uri == pushed
    assert TrainingRequest.from_json(request.to_json()) == request


def test_an_image_by_digest_takes_the_place_of_image_and_version() -> None:
    uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost@sha256:abc"
    request = resolved(said("image push", image_uri=uri))
    assert request.spec.algorithm.uri("eu-west-1") == uri


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"hyperparametres": {}}, "hyperparametres is unknown: did you mean hyperparameters"),
        ({"split": {"trian": 0.5}}, "split.trian is unknown: did you mean train"),
        ({"instance": {"type": "m5.large"}}, "instance.type"),
    ],
)
def test_a_typo_in_a_manifest_is_named_with_the_nearest_name(content: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        parse_overrides(content, "the manifest s3://b/incoming/small/manifest.json")
    assert "manifest.json" in str(error.value)


def test_the_shipped_schema_is_that_of_the_code() -> None:
    shipped = json.loads((configs_dir() / "manifest.schema.json").read_text(encoding="utf-8"))
    assert shipped == manifest_schema(), "write it anew: python -m vigil.training.overrides"
    example = {"target": "late", "hyperparameters": {"eta": 0.1, "seed": None}, "split": {"seed": 7}}
    Draft202012Validator(shipped).validate(example)
    assert not Draft202012Validator(shipped).is_valid({"hyperparametres": {}})


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"eat": 0.1}, "eat is unknown: did you mean eta"),
        ({"eta": 7}, "eta: 7 is greater than the maximum of 1"),
        ({"max_depth": "deep"}, "max_depth: 'deep' is not of type 'integer'"),
        ({"num_round": None}, "num_round is not set"),
        ({"objective": "binary:logistic"}, "objective is binary:logistic, .* is regression: take one of"),
    ],
)
def test_a_bad_hyperparameter_is_refused(hyperparameters: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolved(said("form", hyperparameters=hyperparameters))


def test_what_two_say_is_refused_when_it_contradicts_itself() -> None:
    with pytest.raises(SettingsError, match=r"spec and form ask for together(?s:.*)make 0\.8, not 1"):
        resolved(said("form", split={"train": 0.5}))


def test_a_request_survives_the_way_through_json() -> None:
    request = resolved(
        said("form", hyperparameters={"eta": 0.1}), spec=small_spec(gates={"min_coverage": 0.5})
    )
    assert TrainingRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_the_same_run_and_words_give_the_same_names_and_other_words_others() -> None:
    assert resolved().run == resolved().run
    assert resolved().run != resolved(said("form", hyperparameters={"eta": 0.1})).run


def test_whoever_speaks_last_chooses_where_to_inherit_from() -> None:
    spec = parse_model_spec(small_spec())
    assert inherit_mode(spec, []) == "none"
    voices = [said("manifest", inherit="champion"), said("form", inherit="last_job"), Said("x", Overrides())]
    assert inherit_mode(spec, voices) == "last_job"


class Jobs:
    """Training jobs by name, newest first, each with its own name as a hyperparameter."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def get_paginator(self, _: str) -> Jobs:
        return self

    def paginate(self, NameContains: str, **_: str) -> list[dict[str, Any]]:  # noqa: N803 - AWS's name
        found = [{"TrainingJobName": name} for name in self.names if NameContains in name]
        return [{"TrainingJobSummaries": found[:1]}, {"TrainingJobSummaries": found[1:]}]

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        return {"HyperParameters": {"of": TrainingJobName}}


def test_the_last_job_is_the_newest_whose_name_begins_with_the_prefix() -> None:
    jobs = Jobs("my-linear-learner-9", "linear-learner-8", "linear-learner-7")
    found = inherited("last_job", jobs, None, "linear-learner")
    assert found is not None
    assert found.hyperparameters == {"of": "linear-learner-8"}
    assert "linear-learner-8" in found.origin


def test_nobody_to_inherit_from_is_no_error() -> None:
    assert inherited("last_job", Jobs("other"), None, "linear-learner") is None
    assert inherited("champion", Jobs("other"), None, "linear-learner") is None
    assert inherited("none", Jobs("linear-learner-1"), "linear-learner-1", "linear-learner") is None

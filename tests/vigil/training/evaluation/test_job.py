from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from tests.vigil.detection.doubles import calibration_of
from tests.vigil.release.releasing import BAND
from tests.vigil.training.test_request import SPEC, dataset_of, run_of
from vigil.aws import S3Location
from vigil.bands import Band
from vigil.calibration import Calibration
from vigil.errors import DataError, SettingsError
from vigil.released_models import ReleasedModel
from vigil.training.evaluation.job import (
    evaluation_config,
    job_files,
    read_evaluation,
    released_metrics,
    upload_evaluation,
)


def champion_with(band: Band | None) -> ReleasedModel:
    unused = {field.name for field in fields(ReleasedModel)} - {"model_version", "band"}
    return ReleasedModel(model_version="small/3", band=band, **dict.fromkeys(unused))


def put(s3: Any, location: S3Location, content: Any) -> None:
    s3.put_object(Bucket=location.bucket, Key=location.key, Body=json.dumps(content).encode())


def test_everything_that_the_script_imports_lies_beside_it(s3: Any, bucket: str) -> None:
    run = replace(run_of(), bucket=bucket)
    upload_evaluation(s3, run, SPEC, dataset_of(run), None)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=run.code.key)["Contents"]
    assert {item["Key"].removeprefix(f"{run.code.key}/") for item in listed} == set(job_files())
    config = run.evaluation(None) / "config.json"
    written = json.loads(s3.get_object(Bucket=bucket, Key=config.key)["Body"].read())
    assert written == evaluation_config(run, SPEC, dataset_of(run), None)


def test_the_job_is_told_that_rows_of_counts_are_windows() -> None:
    config = evaluation_config(run_of(), SPEC, dataset_of(run_of()), None)
    assert (config["windows"], config["coverage"], config["features"]) == (True, SPEC.band.coverage, 0)


def test_a_classification_has_no_band_and_keeps_the_features_in_its_lines() -> None:
    dataset = replace(dataset_of(run_of()), objective="binary", classes=("no", "yes"), keys=("row",))
    config = evaluation_config(run_of(), SPEC, dataset, None)
    assert not {"band", "windows", "coverage"} & config.keys()
    assert config["features"] == len(dataset.features)
    assert config["classes"] == ["no", "yes"]


@pytest.mark.parametrize(
    ("band", "objective", "kind"), [(None, "regression", "classes"), (BAND, "binary", "a number")]
)
def test_a_champion_of_another_kind_cannot_be_compared_with(band: Any, objective: Any, kind: str) -> None:
    dataset = replace(dataset_of(run_of()), objective=objective)
    with pytest.raises(
        SettingsError, match=f"The champion small/3 predicts {kind}, and the objective of small"
    ):
        evaluation_config(run_of(), SPEC, dataset, champion_with(band))


def test_the_champions_own_band_goes_with_it() -> None:
    config = evaluation_config(run_of(), SPEC, dataset_of(run_of()), champion_with(BAND))
    assert config["champion"] == {"model_version": "small/3", "band": BAND.to_json()}


def test_what_the_job_wrote_is_read_with_its_band(s3: Any, bucket: str) -> None:
    prefix = S3Location(bucket, "evaluation")
    put(s3, prefix / "evaluation.json", {"objective": "regression"})
    put(s3, prefix / "band.json", BAND.to_json())
    assert read_evaluation(s3, prefix) == ({"objective": "regression"}, BAND)
    of_counts = calibration_of()
    put(s3, prefix / "band.json", of_counts.to_json())
    _, band = read_evaluation(s3, prefix)
    assert isinstance(band, Calibration)
    assert band.to_json() == of_counts.to_json()
    put(s3, prefix / "evaluation.json", {"objective": "binary"})
    assert read_evaluation(s3, prefix) == ({"objective": "binary"}, None)


def test_a_missing_file_is_named(s3: Any, bucket: str) -> None:
    with pytest.raises(DataError, match=r"nowhere/evaluation\.json is missing: did the evaluation job"):
        read_evaluation(s3, S3Location(bucket, "nowhere"))


def test_a_released_version_is_held_to_its_metrics_and_to_the_wape_of_each_series() -> None:
    metrics = {"wape": 0.2, "coverage": 0.99}
    by_series = {"orders": {"wape": 0.1, "bias": 2.0, "rows": 7}, "errors": {"wape": None, "rows": 1}}
    assert released_metrics({"candidate": {"metrics": metrics, "by_series": by_series}}) == {
        **metrics,
        "by_series": {"orders": {"wape": 0.1}, "errors": {"wape": None}},
    }
    assert released_metrics({"candidate": {"metrics": metrics}}) == metrics

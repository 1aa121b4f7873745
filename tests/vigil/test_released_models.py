from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from pymysql.connections import Connection

from tests.vigil.detection.doubles import calibration_of
from vigil.bands import Band
from vigil.calibration import Calibration
from vigil.detection.expectations.rules import RarityRule
from vigil.detection.verdicts import Count
from vigil.errors import DataError
from vigil.operators import training
from vigil.released_models import FormerBand, ReleasedModel, champion, released_models

NOW = datetime(2026, 3, 4, 12)
FORMER = {
    "rule": "conformal",
    "coverage": 0.999,
    "lower_quantile": -3.0,
    "upper_quantile": 3.0,
    "scales": {"orders": [1.0, 1.0]},
    "default_scale": [1.0, 1.0],
    "scale": "anscombe",
}


def release(connection: Connection[Any], version: str, status: str, band: dict[str, Any] | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO released_models (model_version, model, endpoint, variant, band, status, created_at,"
            " model_package_arn, endpoint_config, sagemaker_model, model_data_url, training_job, metrics)"
            " VALUES (%s, 'small', 'small', %s, %s, %s, %s, '', '', '', '', '', '{}')",
            (version, version.replace("/", "-"), json.dumps(band), status, NOW),
        )
    connection.commit()


def loaded(connection: Connection[Any]) -> dict[str, ReleasedModel]:
    with connection.cursor() as cursor:
        return {model.model_version: model for model in released_models(cursor, "small")}


def test_each_kind_of_band_comes_back_as_it_was_released(connection: Connection[Any]) -> None:
    calibration = calibration_of()
    release(connection, "small/1", "retired", Band(0.9, 1.0, 2.0).to_json())
    release(connection, "small/2", "retired", None)
    release(connection, "small/3", "champion", calibration.to_json())
    models = loaded(connection)
    assert models["small/1"].band == Band(0.9, 1.0, 2.0)
    assert models["small/2"].band is None
    band = models["small/3"].band
    assert isinstance(band, Calibration)
    assert band.to_json() == calibration.to_json()


def test_a_version_of_an_older_vigil_stops_none_of_the_others(connection: Connection[Any]) -> None:
    release(connection, "small/1", "retired", FORMER)
    release(connection, "small/2", "champion", calibration_of().to_json())
    with connection.cursor() as cursor:
        serving = champion(cursor, "small")
    assert serving is not None
    assert isinstance(serving.band, Calibration)
    former = loaded(connection)["small/1"].band
    assert isinstance(former, FormerBand)
    assert (former.coverage, former.to_json()) == (0.999, FORMER)


def test_a_champion_of_an_older_vigil_judges_nothing_and_says_what_to_do(connection: Connection[Any]) -> None:
    release(connection, "small/1", "champion", FORMER)
    model = loaded(connection)["small/1"]
    rule = RarityRule(1.0)
    with pytest.raises(DataError, match=r"small/1 has no calibration.*older version: trigger retrain_weekly"):
        rule.threshold(model)
    with connection.cursor() as cursor, pytest.raises(DataError, match="trigger retrain_weekly"):
        rule.judge(cursor, [Count("orders", NOW, 5, 1)], np.array([5.0]), [model])


def test_who_trains_after_the_upgrade_is_not_compared_with_a_champion_from_before_it(
    connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    release(connection, "small/1", "champion", FORMER)
    model = loaded(connection)["small/1"]
    monkeypatch.setattr(training, "released_version", lambda opened, version: model)
    anything: Any = None
    assert training.champion_to_beat(anything, "small/1", anything) is None

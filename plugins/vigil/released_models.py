"""Which model versions were released, and which one is the champion.

Written by the release domain, read by the detection domain: each verdict needs the band of the very version
that answered.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from pymysql.cursors import Cursor

from vigil.bands import Band
from vigil.calibration import Calibration, band_of
from vigil.database import statement
from vigil.errors import DataError
from vigil.smoke_tests import SmokeTest


@dataclass(frozen=True)
class FormerBand:
    """The band of a version that was released by an older Vigil, which nothing can be judged by.

    Attributes:
        content: as it was written down.
    """

    content: dict[str, Any]

    @property
    def coverage(self) -> float | None:
        """Return the share of rows that should fall inside, if it tells."""
        return self.content.get("coverage")

    def to_json(self) -> dict[str, Any]:
        """Return the band as it was written down."""
        return self.content


@dataclass(frozen=True)
class ReleasedModel:
    """One version of a model, as released.

    Attributes:
        model_version: model package group and version, as in `event-counts/3`.
        model: name of the model spec.
        endpoint: name of the endpoint that serves it.
        variant: production variant of the endpoint; its name tells which version answered.
        model_package_arn: in the model registry.
        endpoint_config: that brought it into service.
        sagemaker_model: name of the Model that the configuration serves.
        model_data_url: S3 location of its artifact.
        training_job: that made it.
        band: turns its predictions into bounds; None of a model that tells classes.
        metrics: of its evaluation, by name; `by_series` holds the WAPE of each series, as in
            `{"orders": {"wape": 0.2}}`, of a model of event counts.
        status: deploying, champion, retired or failed.
        due_at: moment for which it was trained; naive UTC.
        released_at: when it last became the champion, if it ever did.
        retired_at: when another took its place, or its deployment failed.
        smoke_test: rows with known answers; None of versions that were released without.
    """

    model_version: str
    model: str
    endpoint: str
    variant: str
    model_package_arn: str
    endpoint_config: str
    sagemaker_model: str
    model_data_url: str
    training_job: str
    band: Band | Calibration | FormerBand | None
    metrics: dict[str, Any]
    status: str
    due_at: datetime
    released_at: datetime | None
    retired_at: datetime | None
    smoke_test: SmokeTest | None


def released_models(cursor: Cursor, model: str) -> list[ReleasedModel]:
    """Return every version of a model that may have answered, newest first."""
    return _select(cursor, {"model": model, "every": True, "variants": [""]})


def models_that_answered(cursor: Cursor, model: str, variants: Collection[str]) -> list[ReleasedModel]:
    """Return the versions that serve as one of some variants, and the champion, newest first.

    Bands of thousands of series are megabytes: who judges every minute must not read those of all versions.
    """
    return _select(cursor, {"model": model, "every": False, "variants": [*variants, ""]})


def _select(cursor: Cursor, which: dict[str, Any]) -> list[ReleasedModel]:
    cursor.execute(statement("models/select_released_models"), which)
    return [_released_model(row) for row in cursor.fetchall()]


def _released_model(row: tuple[Any, ...]) -> ReleasedModel:
    names = [field.name for field in fields(ReleasedModel)]
    columns: dict[str, Any] = dict(zip(names, row, strict=True))
    band, smoke_test = json.loads(columns["band"]), json.loads(columns["smoke_test"] or "null")
    columns["band"] = _released_band(band) if band else None
    columns["smoke_test"] = SmokeTest.from_json(smoke_test) if smoke_test else None
    columns["metrics"] = json.loads(columns["metrics"])
    return ReleasedModel(**columns)


def _released_band(content: dict[str, Any]) -> Band | Calibration | FormerBand:
    try:
        return band_of(content)
    except ValueError:
        # The row of a version that will never serve again must not stop the others.
        return FormerBand(content)


def champion(cursor: Cursor, model: str) -> ReleasedModel | None:
    """Return the version of a model that serves, if one does."""
    return next((m for m in models_that_answered(cursor, model, ()) if m.status == "champion"), None)


def newer_champion(cursor: Cursor, model: str, due_at: datetime) -> ReleasedModel | None:
    """Return the champion if it was trained for a later moment than this one; naive UTC."""
    serving = champion(cursor, model)
    return serving if serving and serving.due_at > due_at else None


def released_model(cursor: Cursor, model: str, model_version: str) -> ReleasedModel:
    """Return one version of a model.

    Raises:
        DataError: it was never released.
    """
    found = next((m for m in released_models(cursor, model) if m.model_version == model_version), None)
    if found is None:
        raise DataError(
            f"The version {model_version} of the model {model} was never released: choose another."
        )
    return found

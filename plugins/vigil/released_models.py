"""Which model versions were released, and which one is the champion.

Written by the release domain, read by the detection domain: each verdict needs the band of the very version
that answered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from pymysql.cursors import Cursor

from vigil.bands import Band
from vigil.database import statement
from vigil.errors import DataError


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
        band: turns its predictions into bounds.
        metrics: of its evaluation, by name.
        status: deploying, champion, retired or failed.
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
    band: Band
    metrics: dict[str, Any]
    status: str


def released_models(cursor: Cursor, model: str) -> list[ReleasedModel]:
    """Return every version of a model that may have answered, newest first."""
    cursor.execute(statement("models/select_released_models"), {"model": model})
    return [_released_model(row) for row in cursor.fetchall()]


def _released_model(row: tuple[str, ...]) -> ReleasedModel:
    names = [field.name for field in fields(ReleasedModel)]
    columns: dict[str, Any] = dict(zip(names, row, strict=True))
    columns["band"] = Band.from_json(json.loads(columns["band"]))
    columns["metrics"] = json.loads(columns["metrics"])
    return ReleasedModel(**columns)


def champion(cursor: Cursor, model: str) -> ReleasedModel | None:
    """Return the version of a model that serves, if one does."""
    return next((m for m in released_models(cursor, model) if m.status == "champion"), None)


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

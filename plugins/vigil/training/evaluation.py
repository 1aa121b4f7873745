"""What goes into the evaluation job and what comes out of it, on S3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import vigil.bands
from vigil.aws import S3Location
from vigil.bands import Band
from vigil.errors import DataError
from vigil.paths import jobs_dir
from vigil.released_models import ReleasedModel
from vigil.training.dataset import Dataset
from vigil.training.request import TrainingRun
from vigil.training.spec.model import ModelSpec

EVALUATION = "evaluation.json"
BAND = "band.json"
_CONFIG = "config.json"


def upload_evaluation(
    s3: Any, run: TrainingRun, spec: ModelSpec, dataset: Dataset, champion: ReleasedModel | None
) -> None:
    """Put the script, the band code it imports and its configuration where the job looks for them."""
    for file in (jobs_dir() / "evaluate.py", Path(vigil.bands.__file__)):
        s3.put_object(Bucket=run.bucket, Key=(run.code / file.name).key, Body=file.read_bytes())
    config = {
        "model": spec.name,
        "dataset": str(dataset.location),
        "coverage": spec.band.coverage,
        "champion": {"model_version": champion.model_version, "band": champion.band.to_json()}
        if champion
        else None,
    }
    location = run.evaluation(champion.model_version if champion else None) / _CONFIG
    s3.put_object(Bucket=location.bucket, Key=location.key, Body=json.dumps(config, indent=2).encode())


def read_evaluation(s3: Any, prefix: S3Location) -> tuple[dict[str, Any], Band]:
    """Read what the evaluation job wrote.

    Args:
        s3: client.
        prefix: as `TrainingRun.evaluation` gives it.

    Returns:
        The content of `evaluation.json`, and the candidate's band.

    Raises:
        DataError: the job wrote no such file.
    """
    return _read_json(s3, prefix / EVALUATION), Band.from_json(_read_json(s3, prefix / BAND))


def _read_json(s3: Any, location: S3Location) -> dict[str, Any]:
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    except s3.exceptions.NoSuchKey as error:
        raise DataError(f"{location} is missing: did the evaluation job complete?") from error
    content: dict[str, Any] = json.loads(body)
    return content

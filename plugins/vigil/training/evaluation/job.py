"""What goes into the evaluation job and what comes out of it, on S3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vigil
from vigil.aws import S3Location
from vigil.bands import Band
from vigil.calibration import Calibration, band_of
from vigil.errors import DataError, SettingsError
from vigil.paths import jobs_dir
from vigil.released_models import ReleasedModel
from vigil.training.dataset import Dataset
from vigil.training.request import TrainingRun, features_in_predictions
from vigil.training.spec.data import EventCounts
from vigil.training.spec.model import ModelSpec

EVALUATION = "evaluation.json"
BAND = "band.json"
PICTURES = "pictures.json"
_CONFIG = "config.json"
_SCRIPT = "evaluate.py"
_MODULES = (
    "banding.py",
    "bootstrap.py",
    "classification.py",
    "curves.py",
    "failure.py",
    "regression.py",
    "transform_output.py",
    "undefined.py",
)
# Modules of the package that the job shares: numpy at most, in the syntax of the oldest Python.
_SHARED = (
    "__init__.py",
    "anscombe.py",
    "answers.py",
    "bands.py",
    "calibration.py",
    "count_bands.py",
    "deviations.py",
    "grid.py",
    "rarity.py",
    "series_statistics.py",
)


def job_files() -> dict[str, Path]:
    """Return the evaluation script and every module it imports, by its place in the folder of the job."""
    package = Path(vigil.__file__).parent
    shared = {f"{package.name}/{name}": package / name for name in _SHARED}
    return {**{name: jobs_dir() / name for name in (_SCRIPT, *_MODULES)}, **shared}


def upload_evaluation(
    s3: Any, run: TrainingRun, spec: ModelSpec, dataset: Dataset, champion: ReleasedModel | None
) -> None:
    """Put the script, the modules it imports and its configuration where the job looks for them."""
    for name, file in job_files().items():
        s3.put_object(Bucket=run.bucket, Key=(run.code / name).key, Body=file.read_bytes())
    config = evaluation_config(run, spec, dataset, champion)
    location = run.evaluation(champion.model_version if champion else None) / _CONFIG
    s3.put_object(Bucket=location.bucket, Key=location.key, Body=json.dumps(config, indent=2).encode())


def evaluation_config(
    run: TrainingRun, spec: ModelSpec, dataset: Dataset, champion: ReleasedModel | None
) -> dict[str, Any]:
    """Return what the evaluation job must know: what was predicted, how its lines look, and of whom.

    Raises:
        SettingsError: the champion predicts a number and the candidate a class, or the other way round.
    """
    config: dict[str, Any] = {
        "model": spec.name,
        "run": run.run,
        "dataset": str(dataset.location),
        "objective": dataset.objective,
        "keys": list(dataset.keys),
        "features": features_in_predictions(dataset),
        "classes": list(dataset.classes),
        "champion": {"model_version": champion.model_version} if champion else None,
    }
    if dataset.objective == "regression":
        counts = isinstance(spec.data, EventCounts)
        config |= {"coverage": spec.band.coverage, "windows": counts}
    if champion:
        _check_alike(champion, dataset)
        config["champion"]["band"] = champion.band.to_json() if champion.band else None
    return config


def _check_alike(champion: ReleasedModel, dataset: Dataset) -> None:
    if (champion.band is not None) != (dataset.objective == "regression"):
        told = "classes" if champion.band is None else "a number"
        raise SettingsError(
            f"The champion {champion.model_version} predicts {told}, and the objective of {dataset.model} is "
            f"{dataset.objective} now: the two cannot be compared. Give the changed model spec a name of its "
            "own."
        )


def read_evaluation(s3: Any, prefix: S3Location) -> tuple[dict[str, Any], Band | Calibration | None]:
    """Read what the evaluation job wrote.

    Args:
        s3: client.
        prefix: as `TrainingRun.evaluation` gives it.

    Returns:
        The content of `evaluation.json`, and the candidate's band; None if it predicts no number.

    Raises:
        DataError: the job wrote no such file.
    """
    evaluation = read_json(s3, prefix / EVALUATION)
    # Event counts were all there was when evaluations did not yet tell their objective.
    if evaluation.get("objective", "regression") != "regression":
        return evaluation, None
    return evaluation, band_of(read_json(s3, prefix / BAND))


def released_metrics(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a version is held to while it serves: its metrics, and of each series the WAPE.

    Args:
        evaluation: content of `evaluation.json`, which holds more of each series than is read every minute.
    """
    metrics = dict(evaluation["candidate"]["metrics"])
    by_series = evaluation["candidate"].get("by_series")
    if by_series is None:
        return metrics
    return {**metrics, "by_series": {series: {"wape": own["wape"]} for series, own in by_series.items()}}


def read_json(s3: Any, location: S3Location) -> dict[str, Any]:
    """Read a file that the evaluation job wrote.

    Raises:
        DataError: there is none.
    """
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    except s3.exceptions.NoSuchKey as error:
        raise DataError(f"{location} is missing: did the evaluation job complete?") from error
    content: dict[str, Any] = json.loads(body)
    return content

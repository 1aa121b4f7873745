"""Settles what a run trains, from everybody who has a say: the resolved request.

Of two that say something about the same field, the later one in this list wins:

1. the model spec;
2. inherited hyperparameters, when the mode says so, all of them in place of the spec's;
3. `manifest.json` beside the data;
4. Airflow's trigger form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vigil.aws import S3Location
from vigil.errors import SettingsError
from vigil.training.hyperparameters import check_hyperparameters
from vigil.training.overrides import Overrides
from vigil.training.request import TrainingRun, plan_run
from vigil.training.spec.model import ModelSpec, parse_model_spec

REQUEST = "request.json"

_MANIFEST_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Inherited:
    """Hyperparameters of an earlier training.

    Attributes:
        origin: where they come from, for people.
        hyperparameters: by name.
    """

    origin: str
    hyperparameters: Mapping[str, str]


@dataclass(frozen=True)
class Said:
    """What one of those who have a say says.

    Attributes:
        origin: who it is, for people.
        overrides: what is said.
    """

    origin: str
    overrides: Overrides


@dataclass(frozen=True)
class TrainingRequest:
    """What a run trains, settled once at its beginning and the same for each of its tasks.

    Attributes:
        run: names of everything it makes.
        spec: model spec with everything that was said.
        origins: who said it, by dotted field, where it was not the model spec.
        due_at: moment for which the run was due; naive UTC.
        dag_run: Airflow's name of the run.
    """

    run: TrainingRun
    spec: ModelSpec
    origins: dict[str, str]
    due_at: datetime
    dag_run: str

    @property
    def location(self) -> S3Location:
        """Return where the request is kept."""
        return self.run.root / REQUEST

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON-like content."""
        return {
            "model": self.run.model,
            "run": self.run.run,
            "bucket": self.run.bucket,
            "due_at": self.due_at.isoformat(),
            "dag_run": self.dag_run,
            "spec": self.spec.model_dump(mode="json", exclude_unset=True),
            "origins": self.origins,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrainingRequest:
        """Read a request from JSON-like content."""
        return cls(
            run=TrainingRun(content["model"], content["run"], content["bucket"]),
            spec=parse_model_spec(content["spec"], "the resolved request"),
            origins=dict(content["origins"]),
            due_at=datetime.fromisoformat(content["due_at"]),
            dag_run=content["dag_run"],
        )

    def save(self, s3: Any) -> None:
        """Keep the request beside what the run makes."""
        body = json.dumps(self.to_json(), indent=2).encode()
        s3.put_object(Bucket=self.location.bucket, Key=self.location.key, Body=body)

    def lines(self) -> list[str]:
        """Return the request for people: each field that is set, its value and its origin."""
        fields = _flat(self.spec.model_dump(mode="json", exclude_unset=True))
        return [
            f"{name} = {value}  ({self.origins.get(name, 'model spec')})" for name, value in fields.items()
        ]


def resolve(
    spec: ModelSpec,
    said: list[Said],
    inherited: Inherited | None,
    *,
    dag_run: str,
    due_at: datetime,
    bucket: str,
) -> TrainingRequest:
    """Settle what a run trains.

    Args:
        spec: model spec as it is shipped.
        said: by manifest and trigger form, the weaker one first.
        inherited: hyperparameters to take in place of the spec's.
        dag_run: Airflow's name of the run.
        due_at: moment for which the run was due; naive UTC.
        bucket: that holds everything.

    Raises:
        SettingsError: what comes out is contradictory, or a hyperparameter is unknown or out of range.
    """
    content = spec.model_dump(mode="json", exclude_unset=True)
    origins: dict[str, str] = {}
    hyperparameters = dict(spec.algorithm.hyperparameters)
    if inherited:
        hyperparameters = dict(inherited.hyperparameters)
        origins |= {_hyperparameter(name): inherited.origin for name in hyperparameters}
    for one in said:
        content, changed = _merged(content, one.overrides.changes())
        origins |= dict.fromkeys(changed, one.origin)
        for name, value in (one.overrides.hyperparameters or {}).items():
            origins[_hyperparameter(name)] = one.origin
            hyperparameters.pop(name, None)
            if value is not None:
                hyperparameters[name] = str(value).lower() if isinstance(value, bool) else str(value)
    content["algorithm"]["hyperparameters"] = hyperparameters
    who = " and ".join(["the model spec", *(one.origin for one in said)])
    resolved = parse_model_spec(content, f"what {who} ask for together")
    check_hyperparameters(resolved.algorithm.repository, hyperparameters, resolved.objective)
    run = plan_run(resolved, dag_run, due_at, bucket)
    return TrainingRequest(run, resolved, origins, due_at, dag_run)


def inherit_mode(spec: ModelSpec, said: list[Said]) -> str:
    """Return where hyperparameters come from that nobody gives: as said last, else as the model spec says."""
    return next(
        (one.overrides.inherit for one in reversed(said) if one.overrides.inherit), spec.algorithm.inherit
    )


def inherited(mode: str, sagemaker: Any, champion_job: str | None, prefix: str) -> Inherited | None:
    """Return the hyperparameters to inherit, or None when there is nobody to inherit from, or no wish to.

    Args:
        mode: `none`, `champion` or `last_job`.
        sagemaker: client.
        champion_job: training job of the champion, if there is one.
        prefix: of the names of the jobs that `last_job` looks for.
    """
    if mode == "none":
        return None
    job = champion_job if mode == "champion" else _last_completed_job(sagemaker, prefix)
    if job is None:
        return None
    described = sagemaker.describe_training_job(TrainingJobName=job)
    of = "the champion's job" if mode == "champion" else "the last completed job"
    return Inherited(f"{of} {job}", dict(described.get("HyperParameters", {})))


def _last_completed_job(sagemaker: Any, prefix: str) -> str | None:
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=prefix, StatusEquals="Completed", SortBy="CreationTime", SortOrder="Descending"
    )
    names = (job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"])
    # AWS looks for the text anywhere in the name.
    return next((str(name) for name in names if name.startswith(prefix)), None)


def read_manifest(s3: Any, location: S3Location) -> Any:
    """Return the content of a manifest, or None when there is none.

    Raises:
        SettingsError: it is no JSON.
    """
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read(_MANIFEST_LIMIT + 1)
    except s3.exceptions.NoSuchKey:
        return None
    if len(body) > _MANIFEST_LIMIT:
        raise SettingsError(f"The manifest {location} is larger than {_MANIFEST_LIMIT} bytes: shorten it.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"The manifest {location} is no JSON: {error}. Correct it.") from error


def _merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return content with the changes put in, and the dotted names of the fields that were changed."""
    merged, changed = dict(content), []
    for part, values in changes.items():
        merged[part] = {**merged.get(part, {}), **values}
        changed += [f"{part}.{name}" for name in values]
    image = changes.get("algorithm", {}).get("image_uri")
    if image:
        # What names the other image goes; and this run trains with one image, whatever the model follows.
        merged["algorithm"] = {
            name: value
            for name, value in merged["algorithm"].items()
            if name not in ("image", "version", "retrain_on_push")
        }
    return merged, changed


def _hyperparameter(name: str) -> str:
    return f"algorithm.hyperparameters.{name}"


def _flat(content: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{path}{name}.")
        else:
            flat[f"{path}{name}"] = value
    return flat

"""Removes what earlier releases left in SageMaker, once it is old enough and nothing needs it.

Configurations and models cost nothing, but there is a limit to their number, and nobody finds anything
among thousands. Versions in the registry, artifacts and evaluations stay: a roll-back makes the rest anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from pymysql.connections import Connection

from vigil.database import in_transaction
from vigil.released_models import ReleasedModel, released_models
from vigil.sagemaker_jobs import is_missing

_OURS = {"project": "vigil"}


def remove_old_releases(
    connection: Connection[Any], sagemaker: Any, model: str, endpoint: str, keep_days: int, now: datetime
) -> list[str]:
    """Remove endpoint configurations and models that no endpoint, release or running job needs any more.

    Args:
        connection: an open connection with nothing uncommitted on it.
        sagemaker: client.
        model: name of the model spec.
        endpoint: name of its endpoint.
        keep_days: after the end of a release, or after the making of a candidate's model.
        now: the present time; naive UTC.

    Returns:
        The names of what was removed; calling it again goes on.
    """
    before = now - timedelta(days=keep_days)
    released = in_transaction(connection, lambda cursor: released_models(cursor, model))
    kept = [version for version in released if not _is_over(version, before)]
    serving = _serving_config(sagemaker, endpoint)
    kept_configs = {version.endpoint_config for version in kept} | ({serving} if serving else set())
    removed = []
    for name in _older(sagemaker, "endpoint_config", "EndpointConfig", model, before):
        if name not in kept_configs and _remove(sagemaker.delete_endpoint_config, EndpointConfigName=name):
            removed.append(name)
    kept_models = {version.sagemaker_model for version in kept} | _models_in_use(
        sagemaker, kept_configs, model
    )
    for name in _older(sagemaker, "model", "Model", model, before):
        if name not in kept_models and _remove(sagemaker.delete_model, ModelName=name):
            removed.append(name)
    return removed


def _is_over(version: ReleasedModel, before: datetime) -> bool:
    return (
        version.status in ("retired", "failed")
        and version.retired_at is not None
        and version.retired_at < before
    )


def _serving_config(sagemaker: Any, endpoint: str) -> str | None:
    try:
        return str(sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"])
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _models_in_use(sagemaker: Any, configs: set[str], model: str) -> set[str]:
    """Return the models that configurations name, and those by which a job predicts now."""
    names = set()
    for config in configs:
        try:
            described = sagemaker.describe_endpoint_config(EndpointConfigName=config)
        except ClientError as error:
            if is_missing(error):
                continue
            raise
        names |= {variant["ModelName"] for variant in described["ProductionVariants"]}
    pages = sagemaker.get_paginator("list_transform_jobs").paginate(
        NameContains=model, StatusEquals="InProgress"
    )
    for page in pages:
        for job in page["TransformJobSummaries"]:
            described = sagemaker.describe_transform_job(TransformJobName=job["TransformJobName"])
            names.add(described["ModelName"])
    return names


def _older(sagemaker: Any, operation: str, noun: str, model: str, before: datetime) -> Iterator[str]:
    """Yield what this pipeline made for a model before a time."""
    pages = sagemaker.get_paginator(f"list_{operation}s").paginate(
        NameContains=model, CreationTimeBefore=before.replace(tzinfo=UTC)
    )
    found = [summary for page in pages for summary in page[f"{noun}s"]]
    for summary in found:
        tags = sagemaker.list_tags(ResourceArn=summary[f"{noun}Arn"])["Tags"]
        if (_OURS | {"model": model}).items() <= {tag["Key"]: tag["Value"] for tag in tags}.items():
            yield str(summary[f"{noun}Name"])


def _remove(delete: Callable[..., Any], **name: str) -> bool:
    """Remove something; tell whether it was still there."""
    try:
        delete(**name)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True

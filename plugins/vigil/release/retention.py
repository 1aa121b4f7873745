"""Removes what earlier releases left in SageMaker, once it is old enough and nothing needs it.

Configurations and models cost nothing, but there is a limit to their number, and nobody finds anything
among thousands. Versions in the registry, artifacts and evaluations stay: a roll-back makes the rest anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from pymysql.connections import Connection

from vigil.database import in_transaction
from vigil.released_models import ReleasedModel, released_models
from vigil.sagemaker_jobs import is_missing

_OURS = {"project": "vigil"}


def remove_old_releases(
    connection: Connection[Any], sagemaker: Any, model: str, keep_days: int, now: datetime
) -> list[str]:
    """Remove endpoint configurations and models that no endpoint, release or running job needs any more.

    Args:
        connection: an open connection with nothing uncommitted on it.
        sagemaker: client.
        model: name of the model spec.
        keep_days: after the end of a release, or after the making of a candidate's model.
        now: the present time; naive UTC.

    Returns:
        The names of what was removed; calling it again goes on.
    """
    before = now - timedelta(days=keep_days)
    released = in_transaction(connection, lambda cursor: released_models(cursor, model))
    kept = [version for version in released if not _is_over(version, before)]
    configs = _older(sagemaker, "endpoint_config", "EndpointConfig", model, before)
    configs -= {version.endpoint_config for version in kept}
    removed = [
        name
        for name in sorted(configs - _serving_configs(sagemaker, configs))
        if _remove(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    ]
    models = _older(sagemaker, "model", "Model", model, before)
    models -= {version.sagemaker_model for version in kept}
    removed += [
        name
        for name in sorted(models - _models_in_use(sagemaker, models))
        if _remove(sagemaker.delete_model, ModelName=name)
    ]
    return removed


def _is_over(version: ReleasedModel, before: datetime) -> bool:
    return (
        version.status in ("retired", "failed")
        and version.retired_at is not None
        and version.retired_at < before
    )


def _serving_configs(sagemaker: Any, doubtful: set[str]) -> set[str]:
    """Return the configurations of all endpoints, and those that they move to; whoever made them."""
    serving: set[str] = set()
    if not doubtful:
        return serving
    for summary in _all(sagemaker, "list_endpoints", "Endpoints"):
        endpoint = _describe(sagemaker.describe_endpoint, EndpointName=summary["EndpointName"])
        for where in (endpoint, endpoint.get("PendingDeploymentSummary", {})):
            if where:
                serving.add(where["EndpointConfigName"])
    return serving


def _models_in_use(sagemaker: Any, doubtful: set[str]) -> set[str]:
    """Return the models of all configurations, and those by which a job predicts now; whoever made them."""
    used: set[str] = set()
    if not doubtful:
        return used
    for summary in _all(sagemaker, "list_endpoint_configs", "EndpointConfigs"):
        name = summary["EndpointConfigName"]
        config = _describe(sagemaker.describe_endpoint_config, EndpointConfigName=name)
        variants = config.get("ProductionVariants", []) + config.get("ShadowProductionVariants", [])
        used |= {variant["ModelName"] for variant in variants if "ModelName" in variant}
    for summary in _all(sagemaker, "list_transform_jobs", "TransformJobSummaries", StatusEquals="InProgress"):
        used.add(sagemaker.describe_transform_job(TransformJobName=summary["TransformJobName"])["ModelName"])
    return used


def _older(sagemaker: Any, operation: str, noun: str, model: str, before: datetime) -> set[str]:
    """Return what this pipeline made for a model before a time."""
    found = _all(
        sagemaker,
        f"list_{operation}s",
        f"{noun}s",
        NameContains=model,
        CreationTimeBefore=before.replace(tzinfo=UTC),
    )
    wanted = (_OURS | {"model": model}).items()
    older = set()
    for summary in found:
        tags = sagemaker.list_tags(ResourceArn=summary[f"{noun}Arn"])["Tags"]
        if wanted <= {tag["Key"]: tag["Value"] for tag in tags}.items():
            older.add(str(summary[f"{noun}Name"]))
    return older


def _all(sagemaker: Any, operation: str, key: str, **filters: Any) -> list[dict[str, Any]]:
    """Return every page of a list."""
    pages = sagemaker.get_paginator(operation).paginate(**filters)
    return [summary for page in pages for summary in page[key]]


def _describe(describe: Callable[..., dict[str, Any]], **name: str) -> dict[str, Any]:
    """Describe something; nothing at all when it went since it was listed."""
    try:
        return describe(**name)
    except ClientError as error:
        if is_missing(error):
            return {}
        raise


def _remove(delete: Callable[..., Any], **name: str) -> bool:
    """Remove something; tell whether it was still there."""
    try:
        delete(**name)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True

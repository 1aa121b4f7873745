"""Chooses the version that comes back, and marks the one that is left."""

from __future__ import annotations

from typing import Any

from pymysql.connections import Connection

from vigil.database import in_transaction
from vigil.errors import DataError
from vigil.release.registry import ROLLED_BACK, RegisteredModel, decide, registered_model
from vigil.released_models import ReleasedModel, released_models


def choose_version(
    connection: Connection[Any], sagemaker: Any, model: str, number: int | None
) -> RegisteredModel:
    """Return the version to bring back: a chosen one, or the last one before the champion that is approved.

    Args:
        connection: an open connection with nothing uncommitted on it.
        sagemaker: client.
        model: name of the model spec.
        number: of the version, if a person chose one.

    Raises:
        DataError: there is no such version, it is not approved, or it serves already.
    """
    released = in_transaction(connection, lambda cursor: released_models(cursor, model))
    serving = next((version for version in released if version.status == "champion"), None)
    if number is not None:
        return _chosen(sagemaker, released, serving, f"{model}/{number}")
    for version in _earlier(released, serving):
        registered = registered_model(sagemaker, version.model_package_arn)
        if registered.approval == "Approved":
            return registered
    raise DataError(
        f"{model} has no earlier approved version to go back to: retrain it, or approve an earlier version "
        "in the registry and trigger this with its number."
    )


def _chosen(
    sagemaker: Any, released: list[ReleasedModel], serving: ReleasedModel | None, wanted: str
) -> RegisteredModel:
    if serving and serving.model_version == wanted:
        raise DataError(f"{wanted} serves already: choose another version.")
    version = next((version for version in released if version.model_version == wanted), None)
    if version is None:
        known = ", ".join(version.model_version for version in released) or "none"
        raise DataError(f"{wanted} was never released; released were {known}: choose one of these.")
    registered = registered_model(sagemaker, version.model_package_arn)
    if registered.approval != "Approved":
        raise DataError(
            f"{wanted} is {registered.approval} ({registered.reason}): approve it in the registry first, if "
            "you are sure, or choose another version."
        )
    return registered


def _earlier(released: list[ReleasedModel], serving: ReleasedModel | None) -> list[ReleasedModel]:
    """Return the versions that have served and are older than the one that does, the last to serve first.

    A newer one was left when somebody went back past it.
    """
    served = [
        v
        for v in released
        if v.released_at is not None and v is not serving and (serving is None or v.due_at <= serving.due_at)
    ]
    return sorted(served, key=lambda version: str(version.released_at), reverse=True)


def mark_rolled_back(sagemaker: Any, left: ReleasedModel, back_to: str, reason: str) -> None:
    """Reject the version that was left, so that the next roll-back goes further back.

    Args:
        sagemaker: client.
        left: version that served before.
        back_to: version that serves now.
        reason: that a person gave.
    """
    reasons = [f"{ROLLED_BACK}{back_to}: {reason}"]
    decide(sagemaker, left.model_package_arn, approved=False, reasons=reasons)

"""Checks of the environment on Amazon MWAA: that what was deployed is what runs."""

from __future__ import annotations

from typing import Any

from vigil.settings import parse_settings
from vigil.setup.findings import Look, failing, fine, not_applicable, tell_apart
from vigil.setup.ground import Ground

# Amazon MWAA gives every component the environment's name by this variable.
NAME_VARIABLE = "AIRFLOW_ENV_NAME"
_SECTION = "vigil."
_UPDATE = "update the environment: make deploy does it"
_OBJECTS = {"plugins": "Plugins", "requirements": "Requirements", "startup script": "StartupScript"}


def environment(ground: Ground) -> Look:
    """Look whether the environment is up, and runs the settings and files that were deployed last."""
    name = ground.variables.get(NAME_VARIABLE)
    if not name:
        return not_applicable("this is not Amazon MWAA")
    found = ground.aws.client("mwaa").get_environment(Name=name)["Environment"]
    looks = {"state": _state(found), "options": _options(ground, found)}
    looks |= {
        what: _object(ground, found, prefix) for what, prefix in _OBJECTS.items() if _path(found, prefix)
    }
    look = tell_apart(looks, "")
    return look if look.outcome == "fail" else fine(f"{name}, {found['EnvironmentClass']}, {look.seen}")


def _state(found: dict[str, Any]) -> Look:
    update = found.get("LastUpdate", {})
    if found["Status"] != "AVAILABLE" or update.get("Status") == "FAILED":
        why = update.get("Error", {}).get("ErrorMessage", "")
        return failing(f"is {found['Status']}, last update {update.get('Status', 'none')} {why}", _UPDATE)
    return fine("is AVAILABLE")


def _options(ground: Ground, found: dict[str, Any]) -> Look:
    """Compare the options that the environment has with the settings that this component reads."""
    options = {
        name.removeprefix(_SECTION): value
        for name, value in found.get("AirflowConfigurationOptions", {}).items()
        if name.startswith(_SECTION) and value
    }
    read = ground.settings
    deployed = parse_settings(read.model_dump() | options)
    stale = sorted(name for name in options if getattr(deployed, name) != getattr(read, name))
    if stale:
        return failing(f"differ from what runs: {', '.join(stale)}", f"wait for the update, or {_UPDATE}")
    return fine("are those that run")


def _object(ground: Ground, found: dict[str, Any], prefix: str) -> Look:
    """Compare a file's version in the bucket with the one that the environment runs."""
    bucket = found["SourceBucketArn"].rpartition(":")[2]
    newest = ground.aws.client("s3").head_object(Bucket=bucket, Key=_path(found, prefix)).get("VersionId")
    if newest != found.get(f"{prefix}S3ObjectVersion"):
        return failing("lies newer in the bucket than what runs", _UPDATE)
    return fine("is the newest")


def _path(found: dict[str, Any], prefix: str) -> str | None:
    path: str | None = found.get(f"{prefix}S3Path")
    return path

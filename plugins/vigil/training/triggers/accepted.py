"""Files that a tabular model is trained on: kept under `accepted/`, listed for each run."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from pymysql.connections import Connection

from vigil.aws import S3Location
from vigil.errors import DataError
from vigil.training.resolving import TrainingRequest
from vigil.training.spec.data import Tabular
from vigil.training.tabular.encoding_store import encoding_location
from vigil.training.tabular.files_manifest import MANIFEST, FilesManifest, ManifestFile, write_files_manifest
from vigil.training.triggers.incoming import copy_once, exists, remove_version, short
from vigil.training.triggers.ledger import Known, Subject, known, settle

ACCEPTED = "accepted/"
# Enough of a checksum to tell two files of the same name apart.
_HASH = 12

log = logging.getLogger(__name__)


def list_files(
    connection: Connection[Any], s3: Any, request: TrainingRequest, data: Tabular
) -> FilesManifest:
    """Write down which files a run trains on: the older ones, and those that it has claimed.

    A file that somebody removed from `accepted/` is left out from then on.

    Args:
        connection: an open connection with nothing uncommitted on it.
        s3: client.
        request: of the run.
        data: of the request; says whether new files are used together with the older ones, or alone.

    Raises:
        DataError: there is none.
    """
    model, bucket = request.run.model, request.run.bucket
    found = known(connection, model, "file", request.dag_run)
    new = [file for file in found if not file.trained]
    if data.new_data == "alone":
        found = new or found[-1:]
    there = [file for file in found if _is_there(s3, file)]
    if not there:
        raise DataError(
            f"The model {model} has no file to train on: drop a CSV under s3://{bucket}/incoming/{model}/."
        )
    manifest = FilesManifest(
        location=request.run.export / MANIFEST,
        model=model,
        encoding=encoding_location(bucket, model, data),
        files=tuple(
            ManifestFile(S3Location.parse(file.source), file.version_id, file.identity, file.rows)
            for file in there
        ),
    )
    write_files_manifest(s3, manifest)
    return manifest


def _is_there(s3: Any, file: Known) -> bool:
    if not file.trained or exists(s3, S3Location.parse(file.source)):
        return True
    log.warning("%s was removed: it is left out", file.source)
    return False


def settle_files(
    connection: Connection[Any], s3: Any, request: TrainingRequest, now: datetime
) -> list[S3Location]:
    """Keep the files that a run has trained on, and take them away from where they were dropped.

    Killed anywhere and called again, it goes on.

    Args:
        connection: an open connection with nothing uncommitted on it.
        s3: client.
        request: of the run that claimed them.
        now: the present time.

    Returns:
        Where they lie now.
    """
    model, bucket = request.run.model, request.run.bucket
    kept = []
    for file in known(connection, model, "file", request.dag_run):
        if file.trained:
            continue
        source = S3Location.parse(file.source)
        name = short(source.key.rpartition("/")[2])
        target = S3Location(bucket, f"{ACCEPTED}{model}/{file.identity[:_HASH]}/{name}")
        copy_once(s3, source, file.version_id, target)
        remove_version(s3, source, file.version_id)
        subject = Subject(model, "file", file.identity, str(target))
        settle(connection, subject, request.dag_run, now)
        kept.append(target)
    return kept

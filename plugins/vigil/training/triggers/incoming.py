"""Files that people drop under `incoming/<model>/`: found, checked, claimed once, and kept or moved aside.

A file stays where it was dropped until a run has trained on it, so that a run that dies loses nothing: the
next one finds it. What the pipeline writes itself lies under other prefixes and is never found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import ClientError
from pymysql.connections import Connection

from vigil.aws import S3Location, content_hash, error_code
from vigil.database import in_transaction
from vigil.errors import SettingsError
from vigil.notices import Notice, write_notice
from vigil.training.spec.data import Tabular
from vigil.training.spec.model import is_model_name, load_model_spec
from vigil.training.tabular.checking import check_against_saved_encoding
from vigil.training.tabular.encoding_store import encoding_location
from vigil.training.tabular.problems import UnusableFileError, problems_report
from vigil.training.triggers.ledger import MOST_ATTEMPTS, Outcome, Subject, claim
from vigil.windows import to_utc

INCOMING = "incoming/"
SET_ASIDE = "set-aside/"
REPORT = ".report.md"
_ENDING = ".csv"
# Enough of an ETag to tell two files of the same name apart.
_ETAG = 12
# A key of S3 has 1,024 bytes, and what is put around folder and name is to fit, too.
_PART_BYTES = 400


@dataclass(frozen=True)
class IncomingFile:
    """A CSV file that somebody dropped.

    Attributes:
        location: where it lies.
        etag: of its content, as S3 tells it.
        dropped_at: by S3's clock; naive UTC.
    """

    location: S3Location
    etag: str
    dropped_at: datetime

    @property
    def model(self) -> str:
        """Return the name of the model spec: the folder below `incoming/`; empty if it lies in none."""
        parts = PurePosixPath(self.location.key.removeprefix(INCOMING)).parts
        return parts[0] if len(parts) > 1 else ""

    @property
    def name(self) -> str:
        """Return its own name."""
        return PurePosixPath(self.location.key).name


@dataclass(frozen=True)
class Claimed:
    """What became of a model's files.

    Attributes:
        files: S3 locations of those that this run trains on.
        set_aside: S3 locations of those that were moved, with the reason.
        held: of those that another run trains on.
    """

    files: list[str] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)


def incoming_files(s3: Any, bucket: str, model: str | None = None) -> list[IncomingFile]:
    """Return the files that wait, the longest-waiting first: of one model, or of all."""
    prefix = f"{INCOMING}{model}/" if model else INCOMING
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [
        IncomingFile(
            S3Location(bucket, entry["Key"]), entry["ETag"].strip('"'), to_utc(entry["LastModified"])
        )
        for page in pages
        for entry in page.get("Contents", [])
        if entry["Key"].lower().endswith(_ENDING)
    ]
    return sorted(found, key=lambda file: (file.dropped_at, file.location.key))


def claim_files(
    connection: Connection[Any],
    s3: Any,
    files: Iterable[IncomingFile],
    model: str,
    data: Tabular,
    run: str,
    is_going_on: Callable[[str], bool],
    now: datetime,
) -> Claimed:
    """Check a model's files, claim those that can be used, and move the others aside.

    Killed anywhere and called again, it goes on: a claim is the run's own, a move is repeated.

    Args:
        connection: an open connection with nothing uncommitted on it.
        s3: client.
        files: of the model.
        model: name of the model spec.
        data: of the resolved request.
        run: that claims, the same for each retry.
        is_going_on: tells whether another run may still train on what it holds.
        now: the present time.
    """
    claimed = Claimed()
    for file in files:
        place = str(file.location)
        there, version_id = _version_of(s3, file)
        if not there:
            continue
        try:
            checked = check_against_saved_encoding(
                s3,
                file.location,
                data,
                encoding_location(file.location.bucket, model, data),
                version_id=version_id,
            )
        except UnusableFileError as error:
            claimed.set_aside[place] = str(error)
            set_aside(connection, s3, file, str(error), now, report=problems_report(error))
            continue
        subject = Subject(model, "file", checked.sha256, place, version_id, checked.rows)
        outcome = claim(connection, subject, run, is_going_on, now)
        if outcome.outcome is Outcome.MINE:
            claimed.files.append(place)
        elif outcome.outcome is Outcome.HELD:
            claimed.held.append(place)
        else:
            reason = (
                f"its content is that of {outcome.first_source}, on which {model} has been trained or will be"
                if outcome.outcome is Outcome.DUPLICATE
                else f"{MOST_ATTEMPTS} runs have failed with it: read their logs before you drop it again"
            )
            claimed.set_aside[place] = reason
            set_aside(connection, s3, file, reason, now)
    return claimed


def why_misplaced(model: str) -> str | None:
    """Return why files in a model's folder can never be used, or None if they can."""
    if not model:
        return f"it lies in no model's folder: drop it under {INCOMING}<model>/"
    try:
        spec = load_model_spec(model)
    except SettingsError as error:
        return str(error)
    if not isinstance(spec.data, Tabular):
        return (
            f"the model {model} learns from counted windows, not from files: bring events in by a source "
            "of the pipeline file"
        )
    return None


def set_aside(
    connection: Connection[Any],
    s3: Any,
    file: IncomingFile,
    reason: str,
    now: datetime,
    *,
    report: str | None = None,
) -> S3Location:
    """Move a file away from where people drop them, with a report beside it, and write down a notice.

    Args:
        connection: an open connection with nothing uncommitted on it.
        s3: client.
        file: to move.
        reason: in one sentence.
        now: the present time.
        report: Markdown for the one who dropped it; without it the reason is all there is to say.

    Returns:
        Where it lies now.
    """
    _, version_id = _version_of(s3, file)
    folder, _, name = file.location.key.removeprefix(INCOMING).rpartition("/")
    below = "/".join(part for part in (short(folder), file.etag[:_ETAG], short(name)) if part)
    target = S3Location(file.location.bucket, SET_ASIDE + below)
    s3.put_object(
        Bucket=target.bucket,
        Key=target.key + REPORT,
        Body=(report or f"# {file.name} was not used\n\n{reason}\n").encode(),
    )
    copy_once(s3, file.location, version_id, target)
    identity = f"file-set-aside/{content_hash([str(file.location), file.etag, version_id], length=32)}"
    text = f"{file.location} was set aside: {reason}\nIt lies at {target} now, with a report beside it."
    notice = Notice(identity, "file-set-aside", file.model if is_model_name(file.model) else "", text)
    in_transaction(connection, lambda cursor: write_notice(cursor, notice, now))
    remove_version(s3, file.location, version_id)
    return target


def short(part: str) -> str:
    """Return a part of a key, or its hash if it is too long to put anything around it."""
    return part if len(part.encode()) <= _PART_BYTES else content_hash([part], length=32)


def copy_once(s3: Any, source: S3Location, version_id: str | None, target: S3Location) -> None:
    """Copy an object of any size, unless an earlier try has done so."""
    if exists(s3, target):
        return
    version = {"VersionId": version_id} if version_id else {}
    s3.copy({"Bucket": source.bucket, "Key": source.key, **version}, target.bucket, target.key)


def remove_version(s3: Any, location: S3Location, version_id: str | None) -> None:
    """Take away the very version that was looked at: one that was dropped on it since stays.

    It is hidden, not erased: behind an erased version, the one that it had replaced would come back.
    """
    if version_id is None:
        s3.delete_object(Bucket=location.bucket, Key=location.key)
        return
    try:
        looked_at = s3.head_object(Bucket=location.bucket, Key=location.key, VersionId=version_id)
        s3.delete_object(Bucket=location.bucket, Key=location.key, IfMatch=looked_at["ETag"])
    except ClientError as error:
        # Another lies there now, or an earlier try has done it.
        if error_code(error) not in ("404", "412", "NoSuchKey", "PreconditionFailed"):
            raise


def exists(s3: Any, location: S3Location) -> bool:
    """Tell whether there is an object."""
    try:
        s3.head_object(Bucket=location.bucket, Key=location.key)
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchKey"):
            return False
        raise
    return True


def _version_of(s3: Any, file: IncomingFile) -> tuple[bool, str | None]:
    """Tell whether a file is still what was found, and its version in a bucket that keeps versions."""
    try:
        answer = s3.head_object(Bucket=file.location.bucket, Key=file.location.key, IfMatch=f'"{file.etag}"')
    except ClientError as error:
        if error_code(error) in ("404", "412", "NoSuchKey", "PreconditionFailed"):
            return False, None
        raise
    return True, answer.get("VersionId")

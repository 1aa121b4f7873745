"""What set off trainings, once each: files that people dropped, images that were pushed.

A file is known by its content and an image by its digest: a second copy or a second event is the same thing.
One run claims it; a run that ended without having trained on it loses it to the next one, a few times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from vigil.database import in_transaction, statement

Kind = Literal["file", "image"]

# As many runs may fail on the same file or image, each of them paid for.
MOST_ATTEMPTS = 3


class Outcome(StrEnum):
    """What became of a claim.

    `MINE`: this run trains on it. `HELD`: another run that goes on does. `DUPLICATE`: a run has, or this one
    does by another copy. `GIVEN_UP`: so many runs have failed with it that no further one tries.
    """

    MINE = "mine"
    HELD = "held"
    DUPLICATE = "duplicate"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class Subject:
    """What a training is set off by.

    Attributes:
        model: name of the model spec.
        kind: `file` or `image`.
        identity: SHA-256 of the file's content, or digest of the image.
        source: S3 location of the file, or URI of the image.
        version_id: of the S3 object in a versioned bucket.
        rows: of the file.
    """

    model: str
    kind: Kind
    identity: str
    source: str
    version_id: str | None = None
    rows: int = 0


@dataclass(frozen=True)
class Claim:
    """What became of a claim, and where the content was first seen."""

    outcome: Outcome
    first_source: str


def claim(
    connection: Connection[Any],
    subject: Subject,
    run: str,
    is_going_on: Callable[[str], bool],
    now: datetime,
) -> Claim:
    """Claim something for a run, or tell why it cannot have it; claiming one's own again changes nothing.

    Args:
        connection: an open connection with nothing uncommitted on it.
        subject: to train on.
        run: that claims, the same for each retry.
        is_going_on: tells whether another run may still train on what it holds.
        now: the present time.
    """
    return in_transaction(connection, lambda cursor: _claim(cursor, subject, run, is_going_on, now))


def _claim(
    cursor: Cursor, subject: Subject, run: str, is_going_on: Callable[[str], bool], now: datetime
) -> Claim:
    values = {**asdict(subject), "run": run, "now": now}
    cursor.execute(statement("training/insert_claim"), values)
    cursor.execute(statement("training/lock_claim"), values)
    row = cursor.fetchone()
    assert row is not None  # noqa: S101 - the statement before made it
    holder, attempts, status, first_source = row
    if status == "given_up":
        return Claim(Outcome.GIVEN_UP, first_source)
    if holder == run:
        same = first_source == subject.source
        return Claim(Outcome.MINE if same else Outcome.DUPLICATE, first_source)
    if status == "trained":
        return Claim(Outcome.DUPLICATE, first_source)
    if is_going_on(holder):
        return Claim(Outcome.HELD, first_source)
    if attempts >= MOST_ATTEMPTS:
        cursor.execute(statement("training/give_up_claim"), values)
        return Claim(Outcome.GIVEN_UP, first_source)
    cursor.execute(statement("training/take_over_claim"), values)
    return Claim(Outcome.MINE, first_source)


@dataclass(frozen=True)
class Known:
    """Something that a model was trained on, or that a run has claimed.

    Attributes:
        identity: SHA-256 of the file's content, or digest of the image.
        source: S3 location of the file, or URI of the image.
        version_id: of the S3 object in a versioned bucket.
        rows: of the file.
        trained: whether a run has trained on it.
    """

    identity: str
    source: str
    version_id: str | None
    rows: int
    trained: bool


def known(connection: Connection[Any], model: str, kind: Kind, run: str) -> list[Known]:
    """Return what a model was trained on so far and what a run has claimed, oldest first."""

    def work(cursor: Cursor) -> list[Known]:
        cursor.execute(statement("training/select_claims"), {"model": model, "kind": kind, "run": run})
        return [Known(row[0], row[1], row[2], row[3], row[4] == "trained") for row in cursor.fetchall()]

    return in_transaction(connection, work)


def settle(connection: Connection[Any], subject: Subject, run: str, now: datetime) -> None:
    """Note that a run has trained on what it claimed.

    Args:
        connection: an open connection with nothing uncommitted on it.
        subject: with the place where it is kept from now on.
        run: that claimed it.
        now: the present time.
    """
    values = {**asdict(subject), "run": run, "now": now}
    in_transaction(connection, lambda cursor: cursor.execute(statement("training/settle_claim"), values))

"""The export: every known window of a period, from MySQL to S3, as CSV parts and a manifest.

Each part is UTF-8 with the header `series,window_start,observed,usual`, times in ISO 8601 (UTC), a series in
one piece and in order of time. `usual` is what a window that was judged anomalous counts as, and else empty.
The manifest is written last and removed first, so a half export is not seen.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pymysql.cursors import Cursor

from vigil.aws import S3Location
from vigil.database import Database, connected, statement
from vigil.errors import DatabaseError, DataError
from vigil.windows import WINDOW

COLUMNS = ("series", "window_start", "observed", "usual")
MANIFEST = "manifest.json"

_HEADER = (",".join(COLUMNS) + "\n").encode()
# With a part in memory twice, once as text and once on its way to S3, the export stays far below 150 MB.
_PART_BYTES = 8 * 1024 * 1024
# What one query answers: a season of one series, less than a megabyte of text.
_PIECE = timedelta(weeks=13)
# `2026-01-02 03:05:00,4294967295,4294967295` and the line's end.
_LONGEST_LINE = 42
_TIME_LIMIT_S = 3600

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Part:
    """One object of an export.

    Attributes:
        name: below the manifest's prefix.
        rows: without the header.
        bytes: its size.
        sha256: of its content, in hex.
    """

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an export holds.

    Attributes:
        location: of `manifest.json`; the parts lie beside it.
        columns: of each part.
        since: no window starts before it.
        until: no window starts at or after it.
        series: how many there are.
        rows: in all parts.
        bytes: in all parts.
        parts: in order.
    """

    location: S3Location
    columns: tuple[str, ...]
    since: datetime
    until: datetime
    series: int
    rows: int
    bytes: int
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON-like content."""
        return {
            "location": str(self.location),
            "columns": list(self.columns),
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "series": self.series,
            "rows": self.rows,
            "bytes": self.bytes,
            "parts": [asdict(part) for part in self.parts],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Manifest:
        """Read a manifest from JSON-like content."""
        return cls(
            location=S3Location.parse(content["location"]),
            columns=tuple(content["columns"]),
            since=datetime.fromisoformat(content["since"]),
            until=datetime.fromisoformat(content["until"]),
            series=int(content["series"]),
            rows=int(content["rows"]),
            bytes=int(content["bytes"]),
            parts=tuple(Part(**part) for part in content["parts"]),
        )


def export_windows(
    database: Database,
    s3: Any,
    destination: S3Location,
    since: datetime,
    until: datetime,
    *,
    progress: Progress | None = None,
    time_limit_s: float = _TIME_LIMIT_S,
) -> Manifest:
    """Write every known window of a period to S3, in constant memory.

    All is read in one snapshot, which cannot change and which no other transaction waits for.

    Args:
        database: to read from.
        s3: client.
        destination: prefix for parts and manifest; a repeated export overwrites them.
        since: first window start that is taken.
        until: first window start that is not taken.
        progress: called with the rows written so far, after each part.
        time_limit_s: the snapshot is given up after so many seconds.

    Raises:
        DataError: no window is known in the period.
        DatabaseError: the time limit is over.
    """
    s3.delete_object(Bucket=destination.bucket, Key=(destination / MANIFEST).key)
    deadline = time.monotonic() + time_limit_s
    parts = _PartWriter(s3, destination, progress)
    exported = 0
    with _snapshot(replace(database, read_timeout_s=max(1, int(time_limit_s)))) as cursor:
        known = _known_periods(cursor, since, until)
        for series, first, end in known:
            rows_before = parts.rows
            for lines in _pieces(cursor, series, first, end):
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"The export took longer than {time_limit_s:g} s, {parts.rows} windows were read: "
                        "raise the time limit, or export a shorter period."
                    )
                parts.write(series, lines)
            exported += parts.rows > rows_before
    parts.flush()
    if not parts.done:
        raise DataError(_why_empty(known, since, until))
    manifest = Manifest(
        location=destination / MANIFEST,
        columns=COLUMNS,
        since=since,
        until=until,
        series=exported,
        rows=parts.rows,
        bytes=sum(part.bytes for part in parts.done),
        parts=tuple(parts.done),
    )
    body = json.dumps(manifest.to_json(), indent=2).encode()
    s3.put_object(Bucket=destination.bucket, Key=manifest.location.key, Body=body)
    return manifest


def read_manifest(s3: Any, location: S3Location) -> Manifest:
    """Read the manifest of an export.

    Raises:
        DataError: it is not there, or is none.
    """
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    except s3.exceptions.NoSuchKey as error:
        raise DataError(f"There is no export manifest at {location}: export first.") from error
    try:
        return replace(Manifest.from_json(json.loads(body)), location=location)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{location} is no export manifest ({error!r}): export again.") from error


def read_parts(s3: Any, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each part, one in memory at a time.

    Raises:
        DataError: a part is missing or is not what the manifest says.
    """
    for part in manifest.parts:
        location = beside(manifest.location, part.name)
        try:
            content = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
        except s3.exceptions.NoSuchKey as error:
            raise DataError(f"The part {location} of the export is missing: export again.") from error
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise DataError(f"The part {location} is not what its manifest says (SHA-256): export again.")
        yield part.name, content


def beside(location: S3Location, name: str) -> S3Location:
    """Return the object called `name` under the same prefix."""
    prefix, _, _ = location.key.rpartition("/")
    return S3Location(location.bucket, f"{prefix}/{name}" if prefix else name)


@contextmanager
def _snapshot(database: Database) -> Iterator[Cursor]:
    with connected(database) as connection, connection.cursor() as cursor:
        longest = _PIECE // WINDOW * _LONGEST_LINE
        cursor.execute("SET SESSION group_concat_max_len = %(longest)s", {"longest": longest})
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield cursor
        connection.rollback()


def _known_periods(cursor: Cursor, since: datetime, until: datetime) -> list[tuple[str, datetime, datetime]]:
    """Return series with the period `[first, end)` in which the start of a known window may lie."""
    cursor.execute(statement("training/select_series_to_export"))
    periods = []
    for series, first_window, known_until in cursor.fetchall():
        first = max(first_window, since)
        # A window ends WINDOW after its start, and a start at the very end is excluded.
        end = min(known_until - WINDOW + timedelta(microseconds=1), until)
        periods.append((series, first, end))
    return periods


def _pieces(cursor: Cursor, series: str, first: datetime, end: datetime) -> Iterator[list[str]]:
    """Yield the lines `2026-01-02T03:05:00,57,` of a series, a season at a time, in order of time."""
    while first < end:
        piece_end = min(first + _PIECE, end)
        cursor.execute(
            statement("training/select_windows_to_export"),
            {"series": series, "first": first, "end": piece_end},
        )
        row = cursor.fetchone()
        if row is not None and row[1]:
            lines = row[0].replace(" ", "T").split("\n")
            if len(lines) != row[1]:
                raise DatabaseError(
                    f"The server cut the windows of {series} after {len(row[0])} characters: raise its "
                    "max_allowed_packet above 1 MB."
                )
            # Times of one width stand first: the order of the text is the order of time.
            lines.sort()
            yield lines
        first = piece_end


class _PartWriter:
    """Gathers lines to parts and puts each into S3 when it is full."""

    def __init__(self, s3: Any, destination: S3Location, progress: Progress | None) -> None:
        self.done: list[Part] = []
        self.rows = 0
        self._s3 = s3
        self._destination = destination
        self._progress = progress
        self._text = bytearray(_HEADER)
        self._text_rows = 0

    def write(self, series: str, lines: list[str]) -> None:
        start = csv_field(series) + ","
        self._text += (start + ("\n" + start).join(lines) + "\n").encode()
        self._text_rows += len(lines)
        self.rows += len(lines)
        if len(self._text) >= _PART_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._text_rows:
            return
        digest = hashlib.sha256(self._text)
        part = Part(f"part-{len(self.done):05d}.csv", self._text_rows, len(self._text), digest.hexdigest())
        self._s3.put_object(
            Bucket=self._destination.bucket,
            Key=(self._destination / part.name).key,
            Body=bytes(self._text),
            ContentType="text/csv",
            # S3 refuses the object if it arrives otherwise.
            ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
        )
        self.done.append(part)
        self._text = bytearray(_HEADER)
        self._text_rows = 0
        if self._progress:
            self._progress(self.rows)


def csv_field(value: str) -> str:
    """Return a series' name as it must stand in a CSV, quoted if need be.

    Raises:
        DataError: it would go over several lines.
    """
    if any(ord(character) < ord(" ") for character in value):
        raise DataError(f"The series {value!r} has a control character in its name: rename it.")
    field = io.StringIO()
    csv.writer(field, lineterminator="").writerow([value])
    return field.getvalue()


def _why_empty(known: list[tuple[str, datetime, datetime]], since: datetime, until: datetime) -> str:
    period = f"No window is known between {since.isoformat()} and {until.isoformat()}"
    if not known:
        return f"{period}: there is no series at all. Ingest events first."
    if all(first >= end for _, first, end in known):
        latest = max(end for _, _, end in known)
        return (
            f"{period}: none of the {len(known)} series has a window there, the last is known up to "
            f"{latest.isoformat(timespec='minutes')}. Export another period, or wait for the sources."
        )
    return f"{period}: the {len(known)} series have none counted. Let the collector count them first."

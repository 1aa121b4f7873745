from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymysql.connections import Connection

from tests.conftest import empty
from tests.vigil.training.history import MONDAY, insert_series
from vigil.aws import S3Location
from vigil.database import Database, connected
from vigil.errors import DatabaseError, DataError
from vigil.training.counts import export
from vigil.training.counts.export import COLUMNS, Manifest, export_windows, read_manifest, read_parts
from vigil.windows import WINDOW, WINDOWS_PER_WEEK

FAR = MONDAY + timedelta(days=3650)
names = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f"), min_size=1, max_size=20
).filter(lambda name: name == name.strip())


def exported(
    database: Database, s3: Any, bucket: str, since: datetime = MONDAY, until: datetime = FAR
) -> tuple[Manifest, list[tuple[str, str, int]]]:
    manifest = export_windows(database, s3, S3Location(bucket, "export"), since, until)
    rows = []
    for _, content in read_parts(s3, manifest):
        header, *part = csv.reader(io.StringIO(content.decode(), newline=""))
        assert tuple(header) == COLUMNS
        rows += [(series, start, int(observed)) for series, start, observed, _ in part]
    return manifest, rows


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        names,
        st.lists(st.none() | st.integers(0, 2**32 - 1), min_size=1, max_size=40),
        min_size=1,
        max_size=5,
    ).filter(lambda series: any(c is not None for counts in series.values() for c in counts))
)
def test_the_export_holds_every_known_window_once_and_nothing_else(
    database: Database, s3: Any, bucket: str, table: dict[str, list[int | None]]
) -> None:
    empty(database)
    with connected(database) as connection:
        for series, counts in table.items():
            insert_series(connection, series, counts)
    manifest, rows = exported(database, s3, bucket)
    expected = [
        (series, (MONDAY + place * WINDOW).isoformat(), count)
        for series, counts in table.items()
        for place, count in enumerate(counts)
        if count is not None
    ]
    assert sorted(rows) == sorted(expected)
    assert manifest.rows == len(expected) == sum(part.rows for part in manifest.parts)
    assert manifest.series == len({series for series, _, _ in expected})
    assert read_manifest(s3, manifest.location) == manifest


@pytest.mark.parametrize("part_bytes", [60, 300, 10_000])
def test_the_size_of_parts_and_pieces_changes_nothing_but_their_number(
    database: Database,
    connection: Connection[Any],
    s3: Any,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    part_bytes: int,
) -> None:
    insert_series(connection, "orders", list(range(50)))
    insert_series(connection, "log-ins", list(range(70)))
    _, at_once = exported(database, s3, bucket)
    monkeypatch.setattr(export, "_PART_BYTES", part_bytes)
    monkeypatch.setattr(export, "_PIECE", 7 * WINDOW)
    manifest, in_parts = exported(database, s3, bucket)
    assert in_parts == at_once
    assert (len(manifest.parts) > 1) == (part_bytes < 1000)


def test_a_series_comes_in_one_piece_and_in_order_of_time(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "a", [1] * (14 * WINDOWS_PER_WEEK))
    insert_series(connection, "b", [2])
    _, rows = exported(database, s3, bucket)
    assert rows == sorted(rows)


def test_an_anomalous_window_brings_what_is_usual_and_the_longest_lines_are_not_cut(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    most = 2**32 - 1
    insert_series(connection, "a", [most] * (13 * WINDOWS_PER_WEEK))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE window_counts SET usual = %s WHERE window_start > %s", (most - 1, MONDAY))
    connection.commit()
    manifest = export_windows(database, s3, S3Location(bucket, "export"), MONDAY, FAR)
    first, *others = b"".join(content for _, content in read_parts(s3, manifest)).decode().splitlines()[1:]
    assert first == f"a,{MONDAY.isoformat()},{most},"
    assert {line.split(",", 2)[2] for line in others} == {f"{most},{most - 1}"}
    assert len(others) == 13 * WINDOWS_PER_WEEK - 1


def test_unknown_windows_stay_out(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    watermark = MONDAY + 3 * WINDOW + timedelta(microseconds=999_999)
    insert_series(connection, "silent", [0, 1, 2, 3], watermark=watermark)
    insert_series(connection, "retired", [0, 1, 2, 3], retired_at=MONDAY + 2 * WINDOW)
    insert_series(connection, "exact", [0, 1], watermark=MONDAY + 2 * WINDOW)
    _, rows = exported(database, s3, bucket)
    assert [(series, count) for series, _, count in rows] == [
        ("exact", 0),
        ("exact", 1),
        ("retired", 0),
        ("retired", 1),
        ("silent", 0),
        ("silent", 1),
        ("silent", 2),
    ]


def test_a_window_that_waits_for_its_recount_stays_out(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "orders", [5, 6, 7])
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO dirty_windows VALUES ('orders', %s)", (MONDAY + WINDOW,))
    connection.commit()
    _, rows = exported(database, s3, bucket)
    assert [count for _, _, count in rows] == [5, 7]


def test_the_period_holds_its_start_and_not_its_end(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "orders", [0, 1, 2, 3])
    _, rows = exported(database, s3, bucket, MONDAY + WINDOW, MONDAY + 3 * WINDOW)
    assert [count for _, _, count in rows] == [1, 2]


def test_all_parts_show_the_database_at_one_moment(
    database: Database, connection: Connection[Any], s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_PART_BYTES", 1)
    for series in "ab":
        insert_series(connection, series, [1])

    def disturb(rows: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE window_counts SET observed = 9")
        connection.commit()

    manifest = export_windows(database, s3, S3Location(bucket, "x"), MONDAY, FAR, progress=disturb)
    contents = [content for _, content in read_parts(s3, manifest)]
    assert [content.split(b",")[-2] for content in contents] == [b"1", b"1"]


def test_the_manifest_comes_last_and_a_failed_repetition_leaves_none(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "orders", [1])
    manifest, _ = exported(database, s3, bucket)
    with pytest.raises(DatabaseError, match="took longer than 0 s"):
        export_windows(database, s3, S3Location(bucket, "export"), MONDAY, FAR, time_limit_s=0)
    with pytest.raises(DataError, match="There is no export manifest"):
        read_manifest(s3, manifest.location)


def test_a_repetition_writes_the_same(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "orders", [1, 2, 3])
    assert exported(database, s3, bucket) == exported(database, s3, bucket)


@pytest.mark.parametrize(
    ("counts", "since", "message"),
    [
        (None, MONDAY, "there is no series at all"),
        ([1, 2], FAR, "up to 2026-01-05T00:05"),
        ([None, None], MONDAY, "none counted"),
    ],
)
def test_an_empty_export_says_why_it_is_empty(
    database: Database,
    connection: Connection[Any],
    s3: Any,
    bucket: str,
    counts: list[int | None] | None,
    since: datetime,
    message: str,
) -> None:
    if counts is not None:
        insert_series(connection, "orders", counts)
    with pytest.raises(DataError, match=message):
        export_windows(database, s3, S3Location(bucket, "x"), since, since + timedelta(days=1))


def test_a_part_that_was_changed_or_lost_is_refused(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "orders", [1, 2, 3])
    manifest, _ = exported(database, s3, bucket)
    key = "export/part-00000.csv"
    s3.put_object(Bucket=bucket, Key=key, Body=b"series,window_start,observed,usual\n")
    with pytest.raises(DataError, match=r"part-00000.csv .*SHA-256"):
        list(read_parts(s3, manifest))
    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(DataError, match=r"part-00000.csv .*missing"):
        list(read_parts(s3, manifest))


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]"])
def test_something_else_under_the_manifests_name_is_refused(s3: Any, bucket: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="manifest.json", Body=body)
    with pytest.raises(DataError, match="is no export manifest"):
        read_manifest(s3, S3Location(bucket, "manifest.json"))


def test_a_manifest_is_found_where_it_lies_now_and_its_parts_beside_it(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "orders", [4])
    manifest, _ = exported(database, s3, bucket)
    for name in ("manifest.json", "part-00000.csv"):
        s3.copy_object(Bucket=bucket, Key=f"moved/{name}", CopySource=f"{bucket}/export/{name}")
    moved = read_manifest(s3, S3Location(bucket, "moved/manifest.json"))
    assert moved.location.key == "moved/manifest.json"
    assert [name for name, _ in read_parts(s3, moved)] == ["part-00000.csv"]
    assert json.dumps(manifest.to_json())


def test_a_name_with_a_control_character_is_refused(
    database: Database, connection: Connection[Any], s3: Any, bucket: str
) -> None:
    insert_series(connection, "two\nlines", [1])
    with pytest.raises(DataError, match=r"'two\\nlines'"):
        export_windows(database, s3, S3Location(bucket, "x"), MONDAY, FAR)

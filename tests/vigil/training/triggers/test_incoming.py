from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.training.tables import TABULAR, csv_of, request_of
from vigil.aws import Aws, S3Location
from vigil.training.tabular.files_manifest import read_files_manifest
from vigil.training.triggers.accepted import list_files, settle_files
from vigil.training.triggers.incoming import Claimed, claim_files, incoming_files, set_aside, why_misplaced

NOW = datetime(2026, 11, 2, 4)
AWKWARD = "a b+c%20d/ünï/file (1)&=.csv"


@pytest.fixture
def bucket(aws: Aws) -> str:
    """A bucket that keeps versions, as the template makes it."""
    name = f"incoming-{uuid.uuid4().hex[:8]}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


class Dropping:
    """Drops files for the model `m` and lets runs claim them."""

    def __init__(self, s3: Any, connection: Connection[Any], bucket: str) -> None:
        self.s3 = s3
        self.connection = connection
        self.bucket = bucket
        self.going_on: set[str] = set()
        self.now = NOW

    def drop(self, name: str, content: str) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=f"incoming/m/{name}", Body=content.encode())
        return f"s3://{self.bucket}/incoming/m/{name}"

    def claim(self, run: str) -> Claimed:
        self.now += timedelta(minutes=10)
        files = incoming_files(self.s3, self.bucket, "m")
        return claim_files(
            self.connection, self.s3, files, "m", TABULAR, run, lambda other: other in self.going_on, self.now
        )

    def settle(self, run: str) -> list[S3Location]:
        return settle_files(self.connection, self.s3, request_of(self.bucket, run), self.now)

    def trained_on(self, run: str, **changes: Any) -> list[str]:
        data = TABULAR.model_copy(update=changes)
        made = list_files(self.connection, self.s3, request_of(self.bucket, run), data)
        assert read_files_manifest(self.s3, made.location) == made
        return [file.location.key for file in made.files]

    def keys(self, prefix: str) -> list[str]:
        answer = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    def read(self, key: str) -> str:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body.decode()

    def notices(self) -> list[tuple[str, str]]:
        self.connection.rollback()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT kind, text FROM notices ORDER BY created_at")
            return list(cursor.fetchall())


@pytest.fixture
def dropping(aws: Aws, connection: Connection[Any], bucket: str) -> Dropping:
    return Dropping(aws.client("s3"), connection, bucket)


def test_several_files_are_claimed_at_once_and_kept_when_they_were_trained_on(dropping: Dropping) -> None:
    first, second = dropping.drop("a.csv", csv_of(5)), dropping.drop(AWKWARD, csv_of(6, seed=1))
    assert set(dropping.claim("run").files) == {first, second}
    assert set(dropping.claim("run").files) == {first, second}, "a retry has what the first try had"
    assert set(dropping.trained_on("run")) == {"incoming/m/a.csv", f"incoming/m/{AWKWARD}"}
    kept = {place.key.rpartition("/")[2]: place.key for place in dropping.settle("run")}
    assert dropping.read(kept["a.csv"]) == csv_of(5)
    assert dropping.read(kept["file (1)&=.csv"]) == csv_of(6, seed=1)
    assert dropping.keys("incoming/") == []
    assert dropping.settle("run") == []
    assert dropping.notices() == []


def test_the_next_run_trains_on_old_and_new_together_or_on_the_new_alone(dropping: Dropping) -> None:
    dropping.drop("a.csv", csv_of(5))
    dropping.claim("one")
    (old,) = dropping.settle("one")
    dropping.drop("b.csv", csv_of(6, seed=1))
    dropping.claim("two")
    assert dropping.trained_on("two") == [old.key, "incoming/m/b.csv"]
    assert dropping.trained_on("two", new_data="alone") == ["incoming/m/b.csv"]
    # A run that brings nothing new, as the weekly one, takes what there is.
    assert dropping.trained_on("weekly") == [old.key]
    assert dropping.trained_on("weekly", new_data="alone") == [old.key]


def test_a_file_that_somebody_took_out_is_left_out(dropping: Dropping) -> None:
    for name in ("a.csv", "b.csv"):
        dropping.drop(name, csv_of(5, seed=len(dropping.keys("incoming/"))))
    dropping.claim("one")
    first, second = dropping.settle("one")
    dropping.s3.delete_object(Bucket=dropping.bucket, Key=first.key)
    assert dropping.trained_on("weekly") == [second.key]


def test_a_version_that_was_replaced_before_it_was_claimed_never_comes_back(dropping: Dropping) -> None:
    dropping.drop("a.csv", csv_of(5))
    dropping.drop("a.csv", csv_of(6, seed=1))
    dropping.claim("one")
    dropping.settle("one")
    assert dropping.keys("incoming/") == []
    dropping.drop("bad.csv", csv_of(7, seed=2))
    dropping.drop("bad.csv", "nonsense")
    assert dropping.claim("two").files == []
    assert dropping.keys("incoming/") == []


def test_a_second_copy_of_the_same_bytes_is_set_aside(dropping: Dropping) -> None:
    first = dropping.drop("a.csv", csv_of(5))
    copy = dropping.drop("copy.csv", csv_of(5))
    claimed = dropping.claim("one")
    assert claimed.files == [first]
    assert list(claimed.set_aside) == [copy]
    dropping.settle("one")
    again = dropping.drop("a.csv", csv_of(5))
    assert list(dropping.claim("two").set_aside) == [again]
    assert dropping.keys("incoming/") == []
    assert len(dropping.keys("set-aside/m/")) == 4, "two files, a report each"


def test_a_bad_file_is_moved_aside_with_a_report_and_a_notice_and_the_good_ones_are_used(
    dropping: Dropping,
) -> None:
    good = dropping.drop("a-good.csv", csv_of(5))
    text = csv_of(5, seed=1).splitlines()
    text[3] = text[3].replace(text[3].split(",")[0], "many", 1)
    bad = dropping.drop("bad.csv", "\n".join(text))
    claimed = dropping.claim("run")
    assert claimed.files == [good]
    assert list(claimed.set_aside) == [bad]
    moved, report = dropping.keys("set-aside/m/")
    assert report == f"{moved}.report.md"
    assert "| 4 | amount |" in dropping.read(report)
    assert "many" in dropping.read(report)
    ((kind, notice),) = dropping.notices()
    assert kind == "file-set-aside"
    assert moved in notice
    assert dropping.keys("incoming/") == ["incoming/m/a-good.csv"]


def test_no_name_and_no_header_keeps_the_other_files_waiting(dropping: Dropping) -> None:
    long = dropping.drop(f"{'l' * 1000}.csv", csv_of(5))
    strange = [
        dropping.drop(f"{'s' * 1000}.csv", "a\nb\n"),
        dropping.drop("control\x01 character.csv", "a,b\n1,2\n"),
        dropping.drop("wide.csv", f"{'a,' * 200_000}\n1\n"),
        dropping.drop("long name.csv", f"amount,{'b' * 200_000}\n1,2\n"),
    ]
    claimed = dropping.claim("run")
    assert claimed.files == [long]
    assert claimed.set_aside.keys() == set(strange)
    (kept,) = dropping.settle("run")
    assert dropping.read(kept.key) == csv_of(5)
    assert dropping.keys("incoming/") == []


@pytest.mark.parametrize("folder", ["", "f" * 1000, "../..", "\u20ac x"])
def test_a_file_in_no_models_folder_is_set_aside_whatever_the_folder_is_called(
    dropping: Dropping, folder: str
) -> None:
    key = f"incoming/{folder}/a.csv" if folder else "incoming/a.csv"
    dropping.s3.put_object(Bucket=dropping.bucket, Key=key, Body=b"a")
    (file,) = incoming_files(dropping.s3, dropping.bucket)
    reason = why_misplaced(file.model)
    assert reason is not None
    moved = set_aside(dropping.connection, dropping.s3, file, reason, NOW)
    assert moved.key.startswith("set-aside/")
    assert dropping.keys("incoming/") == []
    assert len(dropping.notices()) == 1


def test_a_run_that_has_ended_loses_its_files_to_the_next_and_one_that_goes_on_does_not(
    dropping: Dropping,
) -> None:
    place = dropping.drop("a.csv", csv_of(5))
    dropping.claim("one")
    dropping.going_on = {"one"}
    assert dropping.claim("two") == Claimed(held=[place])
    dropping.going_on = set()
    assert dropping.claim("two").files == [place]
    # The first one, cleared by a person, takes nothing away.
    assert dropping.settle("one") == []
    assert dropping.keys("incoming/") == ["incoming/m/a.csv"]


def test_a_file_that_several_runs_failed_with_is_set_aside(dropping: Dropping) -> None:
    place = dropping.drop("a.csv", csv_of(5))
    for run in ("one", "two", "three"):
        assert dropping.claim(run).files == [place]
    assert "3 runs have failed with it" in dropping.claim("four").set_aside[place]
    assert dropping.keys("incoming/") == []


def test_what_is_dropped_on_a_file_while_it_is_trained_on_is_not_lost(dropping: Dropping) -> None:
    dropping.drop("a.csv", csv_of(5))
    dropping.claim("one")
    dropping.drop("a.csv", csv_of(7, seed=2))
    (kept,) = dropping.settle("one")
    assert dropping.read(kept.key) == csv_of(5)
    assert dropping.read("incoming/m/a.csv") == csv_of(7, seed=2)
    assert len(dropping.claim("two").files) == 1


@pytest.mark.parametrize("killed_before", ["copy", "delete_object"])
def test_a_settling_that_is_killed_is_finished_by_the_next_try(
    dropping: Dropping, monkeypatch: pytest.MonkeyPatch, killed_before: str
) -> None:
    class KilledError(Exception):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise KilledError

    dropping.drop("a.csv", csv_of(5))
    dropping.claim("one")
    with monkeypatch.context() as patch:
        patch.setattr(dropping.s3, killed_before, die)
        with pytest.raises(KilledError):
            dropping.settle("one")
    (kept,) = dropping.settle("one")
    assert dropping.read(kept.key) == csv_of(5)
    assert dropping.keys("incoming/") == []


def test_other_files_beside_the_csv_are_no_data(dropping: Dropping) -> None:
    dropping.drop("manifest.json", "{}")
    dropping.drop("notes.txt", "a")
    assert incoming_files(dropping.s3, dropping.bucket) == []


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("", "drop it under incoming/<model>/"),
        ("event-count", "did you mean event-counts"),
        ("event-counts", "learns from counted windows"),
    ],
)
def test_files_in_a_folder_that_no_model_learns_from_are_misplaced(model: str, reason: str) -> None:
    assert reason in str(why_misplaced(model))

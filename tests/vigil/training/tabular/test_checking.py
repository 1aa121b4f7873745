from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.vigil.training.tabular.csv_tables import table, tabular_data
from vigil.aws import S3Location
from vigil.errors import DataError
from vigil.training.spec.data import Tabular
from vigil.training.tabular.checking import CheckedFile, check_against_saved_encoding, check_file
from vigil.training.tabular.encoding_store import encoding_location, load_encoding
from vigil.training.tabular.problems import UnusableFileError

HEADER = ("age", "colour", "id", "when", "y")
ROWS = [
    [31, "red", 1, "2026-01-05", "no"],
    [45, "blue", 2, "2026-01-06T10:00:00Z", "yes"],
    [28, "red", 3, "2026-01-04 23:59", "no"],
]
DATA = tabular_data(leave_out=("id",), time_column="when")
AWKWARD = "incoming/small/a b+c%20d/ünï/file (1)&=.csv"


class Checking:
    """Checks contents as files of one model."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self.s3 = s3
        self.bucket = bucket

    def check(self, content: bytes, data: Tabular = DATA, key: str = AWKWARD) -> CheckedFile:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        saved = encoding_location(self.bucket, "small", data)
        return check_against_saved_encoding(self.s3, S3Location(self.bucket, key), data, saved)

    def problems(self, content: bytes, data: Tabular = DATA) -> list[str]:
        with pytest.raises(UnusableFileError) as error:
            self.check(content, data)
        assert error.value.file == f"s3://{self.bucket}/{AWKWARD}"
        assert error.value.count == len(error.value.problems)
        return [str(problem) for problem in error.value.problems]


@pytest.fixture
def checking(s3: Any, bucket: str) -> Checking:
    return Checking(s3, bucket)


@pytest.fixture
def later(checking: Checking) -> Checking:
    """A model that has an encoding schema."""
    checking.check(table(HEADER, ROWS))
    return checking


def test_a_good_file_is_described_and_makes_the_schema(checking: Checking) -> None:
    content = table(HEADER, ROWS)
    checked = checking.check(content)
    assert (checked.rows, checked.bytes, checked.columns) == (3, len(content), HEADER)
    assert checked.sha256 == hashlib.sha256(content).hexdigest()
    assert checked.encoding.features == ("age", "colour=blue", "colour=red")
    assert load_encoding(checking.s3, encoding_location(checking.bucket, "small", DATA)) == checked.encoding


def test_a_bad_file_makes_no_schema(checking: Checking) -> None:
    checking.problems(table(HEADER, [*ROWS, [1, "red", 4, "soon", "no"]]))
    assert load_encoding(checking.s3, encoding_location(checking.bucket, "small", DATA)) is None


def test_a_later_file_may_have_its_columns_in_any_order_and_lack_what_is_not_used(later: Checking) -> None:
    checked = later.check(b"y,when,colour,age\r\nyes,2026-02-01,green,\r\n")
    assert checked.columns == ("y", "when", "colour", "age")
    assert checked.encoding.features == ("age", "colour=blue", "colour=red")


def test_a_constant_column_may_be_there_later_or_not(checking: Checking) -> None:
    data = tabular_data()
    first = checking.check(b"a,k,y\n1,x,no\n2,x,yes\n", data)
    assert first.encoding.constant == ("k",)
    assert checking.check(b"a,k,y\n1,z,no\n", data).encoding == first.encoding
    assert checking.check(b"a,y\n1,no\n", data).encoding == first.encoding


def test_the_one_who_lost_the_race_for_the_schema_is_checked_against_the_winners(
    checking: Checking, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tabular_data()
    winner = checking.check(b"a,y\n1,no\n2,yes\n", data, key="winner.csv")
    sight = iter([None])
    monkeypatch.setattr("vigil.training.tabular.checking.load_encoding", lambda *_: next(sight))
    assert checking.problems(b"a,y\nx,no\nz,yes\n", data) == [
        "row 2, column a: 'x' is no number",
        "row 3, column a: 'z' is no number",
    ]
    assert load_encoding(checking.s3, encoding_location(checking.bucket, "small", data)) == winner.encoding


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", ["it is empty: write the names of the columns into the first row"]),
        (b"\n\n", ["it is empty: write the names of the columns into the first row"]),
        (b"age,colour,id,when,y\n", ["row 1: there is no whole row below it"]),
        (
            b"31,red,1,2026-01-05,no\n",
            ["row 1: it holds numbers, not names of columns: write the names into the first row"],
        ),
        (
            b"age;colour;id;when;y\n1;red;1;2026-01-05;no\n",
            [
                "row 1: it names one column only, and a model needs a target and something to tell it by: "
                "are the columns separated by commas?"
            ],
        ),
        (
            b"age,,age,colour,id,when,y\n",
            [
                "row 1: the column in place 2 has no name: give it one",
                "row 1, column age: two columns have this name: rename one",
            ],
        ),
        (
            b"age,colour,id,wehn,y\n",
            ["row 1, column when: it is missing from the header (is it wehn?)"],
        ),
        (
            b'age,"col\nour",id,when,y\n',
            [r"row 1: the name 'col\nour' cannot be printed: rename the column"],
        ),
        (
            b"age,colour,id,when,y\n1,red,1,2026-01-05\n",
            [
                "row 1: there is no whole row below it",
                "row 2: the header names 5 columns, and this row has 4",
            ],
        ),
    ],
)
def test_a_first_file_that_cannot_be_used_is_told_why(
    checking: Checking, content: bytes, problems: list[str]
) -> None:
    assert checking.problems(content) == problems


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        (["old,red,4,2026-01-01,no"], ["row 2, column age: 'old' is no number"]),
        (
            [f"{'x' * 41},red,4,2026-01-01,no"],
            [f"row 2, column age: '{'x' * 40}…' is no number"],
        ),
        (["1e999,red,4,2026-01-01,no"], ["row 2, column age: '1e999' is no finite number"]),
        (["1,red,4,2026-01-01,"], ["row 2, column y: it has no value, and every row needs one"]),
        (["1,red,4,NA,no"], ["row 2, column when: it has no value, and every row needs one"]),
        (
            ["1,red,4,2026-01-01,no", "1,red,4,01.02.2026,no"],
            [
                "row 3, column when: '01.02.2026' is no time: write it as in 2026-01-31 or "
                "2026-01-31T12:30:00Z"
            ],
        ),
        (
            ["1,red,4,2026-01-01,No"],
            ["row 2, column y: 'No' is none of the classes that the model knows: no, yes"],
        ),
        (
            ['1,"r', 'ed",4,2026-01-01,no', "x,blue,4,2026-01-01,no"],
            ["row 4, column age: 'x' is no number"],
        ),
        (
            ["x,red,4,2026-01-01,no,more", "x,red,4,2026-01-01,perhaps"],
            [
                "row 2: the header names 5 columns, and this row has 6",
                "row 3, column age: 'x' is no number",
                "row 3, column y: 'perhaps' is none of the classes that the model knows: no, yes",
            ],
        ),
        (
            ["x,red,4,2026-01-01,no", '1,"red,4,2026-01-01,no'],
            [
                "row 2, column age: 'x' is no number",
                "row 3: a quote is opened and never closed; nothing after it was read",
            ],
        ),
    ],
)
def test_a_later_file_that_does_not_fit_is_told_row_column_and_reason(
    later: Checking, rows: list[str], problems: list[str]
) -> None:
    content = "\n".join([",".join(HEADER), *rows]).encode()
    assert later.problems(content) == problems


@pytest.mark.parametrize(
    ("header", "problems"),
    [
        (
            "age,color,when,y",
            [
                "row 1, column colour: it is missing from the header (is it color?)",
                "row 1, column color: the model does not know it (is it colour?): take it out or rename it",
            ],
        ),
        (
            "age,colour,when,y,salary",
            ["row 1, column salary: the model does not know it: take it out or rename it"],
        ),
        ("age,colour,when", ["row 1, column y: it is missing from the header"]),
    ],
)
def test_a_later_file_with_other_columns_is_told_the_nearest_known(
    later: Checking, header: str, problems: list[str]
) -> None:
    assert later.problems(f"{header}\n1,red,2026-01-01,no,1\n".encode()) == problems


def test_a_number_to_predict_must_be_one(checking: Checking) -> None:
    data = tabular_data(objective="regression")
    assert checking.problems(b"a,y\n1,2\n2,many\n3,inf\n4,\n", data) == [
        "row 3, column y: 'many' is no number",
        "row 4, column y: 'inf' is no finite number",
        "row 5, column y: it has no value, and every row needs one",
    ]


def test_all_problems_are_counted_and_the_first_twenty_are_told(later: Checking) -> None:
    rows = [["x", "red", 1, "2026-01-01", "no"]] * 500
    with pytest.raises(UnusableFileError) as error:
        later.check(table(HEADER, rows))
    assert error.value.count == 500
    assert [problem.row for problem in error.value.problems] == list(range(2, 22))


def test_a_file_that_is_too_large_is_refused_unread(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a.csv", Body=b"no table at all")
    with pytest.raises(UnusableFileError, match="15 bytes, and 14 is the most that is taken"):
        check_file(s3, S3Location(bucket, "a.csv"), DATA, None, most_bytes=14)


def test_the_version_that_was_asked_for_is_checked(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    good = table(HEADER, ROWS)
    version = s3.put_object(Bucket=bucket, Key="a.csv", Body=good)["VersionId"]
    s3.put_object(Bucket=bucket, Key="a.csv", Body=b"")
    checked = check_file(s3, S3Location(bucket, "a.csv"), DATA, None, version_id=version)
    assert checked.sha256 == hashlib.sha256(good).hexdigest()
    s3.delete_object(Bucket=bucket, Key="a.csv", VersionId=version)
    with pytest.raises(DataError, match=f"There is no version {version} of s3://{bucket}/a.csv"):
        check_file(s3, S3Location(bucket, "a.csv"), DATA, None, version_id=version)


def test_a_file_that_is_gone_is_named(s3: Any, bucket: str) -> None:
    with pytest.raises(DataError, match=f"There is no s3://{bucket}/a.csv: was it moved or removed"):
        check_file(s3, S3Location(bucket, "a.csv"), DATA, None)

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.vigil.training.tabular.csv_tables import tabular_data
from vigil.aws import S3Location
from vigil.errors import DataError
from vigil.training.tabular.encoding import Category, Encoding, Number
from vigil.training.tabular.encoding_store import encoding_location, load_encoding, save_encoding

ENCODING = Encoding(
    "y", "binary", ("no", "yes"), (Number("a", 0.1, True), Category("é", ("x", "y, z"))), ("c",)
)


def test_a_schema_is_read_as_it_was_saved(s3: Any, bucket: str) -> None:
    place = encoding_location(bucket, "small", tabular_data())
    assert load_encoding(s3, place) is None
    assert save_encoding(s3, place, ENCODING) == ENCODING
    assert load_encoding(s3, place) == ENCODING


def test_whoever_comes_second_uses_the_first(s3: Any, bucket: str) -> None:
    place = S3Location(bucket, "encodings/small/a.json")
    save_encoding(s3, place, ENCODING)
    other = Encoding("y", "binary", ("no", "yes"), (Number("b", 2, False),))
    assert save_encoding(s3, place, other) == ENCODING
    assert load_encoding(s3, place) == ENCODING


def test_of_many_at_once_all_use_the_same(s3: Any, bucket: str) -> None:
    place = S3Location(bucket, "encodings/small/a.json")
    wanted = [Encoding("y", "binary", ("no", "yes"), (Number("a", place, False),)) for place in range(8)]
    with ThreadPoolExecutor(8) as pool:
        used = list(pool.map(lambda encoding: save_encoding(s3, place, encoding), wanted))
    assert set(used) == {load_encoding(s3, place)}


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"target": "y"}'])
def test_what_is_no_schema_is_refused_by_name(s3: Any, bucket: str, content: bytes) -> None:
    place = S3Location(bucket, "encodings/small/a.json")
    s3.put_object(Bucket=bucket, Key=place.key, Body=content)
    with pytest.raises(DataError, match=r"a.json is no encoding schema .*bring back its first version"):
        load_encoding(s3, place)


def test_a_spec_that_reads_the_data_alike_shares_the_schema() -> None:
    one = encoding_location("b", "m", tabular_data(leave_out=("a", "b"), new_data="alone", most_categories=5))
    assert one == encoding_location("b", "m", tabular_data(leave_out=("b", "a")))
    assert one.key.startswith("encodings/m/")


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "z"},
        {"objective": "regression"},
        {"positive": "a"},
        {"leave_out": ("a",)},
        {"categorical": ("a",)},
        {"time_column": "a"},
    ],
)
def test_a_spec_that_reads_the_data_otherwise_has_another_schema(changes: dict[str, Any]) -> None:
    assert encoding_location("b", "m", tabular_data(**changes)) != encoding_location("b", "m", tabular_data())

from __future__ import annotations

import re

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.aws import NAME_LIMIT, Aws, S3Location, aws_name, content_hash
from vigil.errors import SettingsError

SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
parts = st.text(min_size=1, max_size=80)
last_parts = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)


@given(st.lists(parts, max_size=4), last_parts)
def test_every_name_is_one_that_sagemaker_accepts(front: list[str], last: str) -> None:
    name = aws_name(*front, last)
    assert SAGEMAKER_NAME.fullmatch(name)
    assert len(name) <= NAME_LIMIT
    assert name.endswith(last)


@given(st.lists(parts, max_size=4), last_parts)
def test_the_same_parts_make_the_same_name(front: list[str], last: str) -> None:
    assert aws_name(*front, last) == aws_name(*front, last)


def test_no_name_is_put_before_an_address_that_is_not_awss() -> None:
    session = boto3.session.Session("key", "secret", region_name="eu-west-1")
    there = Aws(session).client("mwaa").meta.config.inject_host_prefix
    here = Aws(session, "http://127.0.0.1:1").client("mwaa").meta.config.inject_host_prefix
    assert (there, here) == (True, False)


def test_underscores_dots_and_colons_become_hyphens() -> None:
    assert (
        aws_name("event_counts", "repo:latest", "20260102T0305Z") == "event-counts-repo-latest-20260102T0305Z"
    )


def test_equal_content_has_equal_hashes_whatever_its_order() -> None:
    assert content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})


@pytest.mark.parametrize("uri", ["s3://bucket/a/b c+ü.csv", "s3://bucket/", "s3://bucket/prefix/"])
def test_a_location_reads_back_as_it_was_written(uri: str) -> None:
    assert str(S3Location.parse(uri)) == uri


def test_a_location_grows_by_names() -> None:
    assert str(S3Location.parse("s3://bucket/prefix/") / "file") == "s3://bucket/prefix/file"
    assert str(S3Location("bucket", "") / "file") == "s3://bucket/file"


@pytest.mark.parametrize("uri", ["bucket/key", "https://bucket/key", "s3:///key"])
def test_what_is_no_location_is_named(uri: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(repr(uri))):
        S3Location.parse(uri)


def test_a_client_is_built_once(aws: Aws) -> None:
    assert aws.client("s3") is aws.client("s3")

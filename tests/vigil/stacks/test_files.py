"""Configurations and scripts, from the project's folders and from buckets."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

import vigil.stacks.files as files
from vigil.aws import Aws
from vigil.errors import SettingsError
from vigil.stacks.files import find_script, launcher_config, read_config

CONFIG = {"training-job-name": "one"}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("configs/stacks", "jobs/nested"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(files, "configs_dir", lambda: tmp_path / "configs")
    monkeypatch.setattr(files, "jobs_dir", lambda: tmp_path / "jobs")
    return tmp_path


@pytest.fixture
def bucket(aws: Aws) -> str:
    name = f"files-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return name


def put(aws: Aws, bucket: str, key: str, content: Any) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


@pytest.mark.parametrize("name", ["one", "one.yaml"])
def test_a_configuration_is_found_with_or_without_its_ending(folders: Path, name: str) -> None:
    (folders / "configs/stacks/one.yaml").write_text("training-job-name: one\n")
    assert read_config(None, name, None) == CONFIG


def test_a_name_that_is_not_there_is_refused_with_those_that_are(folders: Path) -> None:
    (folders / "configs/stacks/one.yaml").write_text("{}")
    (folders / "configs/stacks/two.json").write_text("{}")
    (folders / "configs/stacks/x.schema.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"known are one\.yaml, two\.json\."):
        read_config(None, "three", None)


@pytest.mark.parametrize("name", ["../one", "/etc/hosts", "../../secret.yaml"])
def test_a_name_never_leads_out_of_the_folder(folders: Path, name: str) -> None:
    (folders / "configs/one.yaml").write_text("a: b")
    (folders / "secret.yaml").write_text("a: b")
    with pytest.raises(SettingsError, match="There is no configuration"):
        read_config(None, name, None)


def test_the_launchers_file_holds_for_every_launch(folders: Path) -> None:
    assert launcher_config() == {}
    (folders / "configs/stacks/lambda-config.json").write_text('{"s3_training_bucket": "a-bucket"}')
    assert launcher_config() == {"s3_training_bucket": "a-bucket"}


@pytest.mark.parametrize("name", ["training-config", "training-config.json"])
def test_a_bucket_is_looked_in_when_one_is_set(aws: Aws, bucket: str, name: str) -> None:
    put(aws, bucket, "training-config.json", CONFIG)
    assert read_config(aws.client("s3"), name, bucket) == CONFIG | {"s3-training-bucket": bucket}


def test_who_names_a_configuration_in_a_bucket_means_its_scripts_too(aws: Aws, bucket: str) -> None:
    put(aws, bucket, "a/b.yaml", b"training-job-name: one")
    read = read_config(aws.client("s3"), f"s3://{bucket}/a/b.yaml", None)
    assert read == CONFIG | {"s3-training-bucket": bucket}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe\x00"])
def test_what_is_no_configuration_is_refused_by_its_place(aws: Aws, bucket: str, content: bytes) -> None:
    put(aws, bucket, "bad.json", content)
    with pytest.raises(SettingsError, match=rf"s3://{bucket}/bad.json"):
        read_config(aws.client("s3"), "bad", bucket)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: &a [x]\nb: [*a, *a]", "aliases"),
        (b"[" * 200_000, "too deep"),
        (b"a: !!python/name:os.system", "tag"),
    ],
    ids=["aliases", "depth", "tags"],
)
def test_a_page_of_yaml_stands_for_no_more_than_itself(
    aws: Aws, bucket: str, content: bytes, reason: str
) -> None:
    put(aws, bucket, "bad.yaml", content)
    with pytest.raises(SettingsError, match=reason):
        read_config(aws.client("s3"), "bad.yaml", bucket)


@pytest.mark.parametrize("missing", ["absent", "s3://no-such-bucket-here/x.json"])
def test_a_configuration_that_is_not_in_the_bucket_is_named(aws: Aws, bucket: str, missing: str) -> None:
    with pytest.raises(SettingsError, match="or it may not be read"):
        read_config(aws.client("s3"), missing, bucket)


def test_a_file_too_long_to_be_a_configuration_is_not_read(aws: Aws, bucket: str) -> None:
    put(aws, bucket, "long.json", b" " * (300 * 1024))
    with pytest.raises(SettingsError, match="too long"):
        read_config(aws.client("s3"), "long", bucket)


def test_a_script_comes_from_the_projects_folder_and_goes_to_s3(aws: Aws, bucket: str, folders: Path) -> None:
    from vigil.aws import S3Location

    (folders / "jobs/nested/train.sh").write_text("echo 1")
    script = find_script(None, "nested/train.sh", None)
    assert script.name == "train.sh"
    script.copy_to(aws.client("s3"), S3Location(bucket, "x/train.sh"))
    assert aws.client("s3").get_object(Bucket=bucket, Key="x/train.sh")["Body"].read() == b"echo 1"


def test_another_content_is_another_script(folders: Path) -> None:
    (folders / "jobs/train.sh").write_text("echo 1")
    one = find_script(None, "train.sh", None)
    (folders / "jobs/train.sh").write_text("echo 2")
    assert find_script(None, "train.sh", None).identity != one.identity


def test_a_link_that_leads_out_of_the_folder_is_refused(folders: Path) -> None:
    (folders / "secret").write_text("x")
    (folders / "jobs/link.sh").symlink_to(folders / "secret")
    with pytest.raises(SettingsError, match="leads out"):
        find_script(None, "link.sh", None)


def test_a_script_that_is_nowhere_is_refused_with_where_it_was_looked_for(
    aws: Aws, bucket: str, folders: Path
) -> None:
    with pytest.raises(SettingsError, match=r"no script 'a\.sh' in include/jobs/"):
        find_script(None, "a.sh", None)
    with pytest.raises(SettingsError, match=rf"no script at s3://{bucket}/a\.sh"):
        find_script(aws.client("s3"), "a.sh", bucket)


def test_a_script_of_any_size_is_copied(aws: Aws, bucket: str) -> None:
    from vigil.aws import S3Location

    put(aws, bucket, "big.sh", b"#" * (20 * 1024 * 1024))
    find_script(aws.client("s3"), "big.sh", bucket).copy_to(
        aws.client("s3"), S3Location(bucket, "copy/big.sh")
    )
    head = aws.client("s3").head_object(Bucket=bucket, Key="copy/big.sh")
    assert head["ContentLength"] == 20 * 1024 * 1024

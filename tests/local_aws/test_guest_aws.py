from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from local_aws_support import PROJECT

from local_aws.ec2.view import interpreter


@pytest.fixture
def aws(local_aws: str, tmp_path: Path) -> Any:
    """The instances' `aws`, run outside of any: it needs nothing of one but its environment."""

    def run(*arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*interpreter(), "aws", *arguments],
            cwd=tmp_path,
            env={"AWS_ENDPOINT_URL": local_aws, "AWS_REGION": "us-east-1", "TZ": "UTC"},
            input=given,
            capture_output=True,
            timeout=30,
            check=False,
        )

    return run


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return [one["Key"].removeprefix(f"{prefix}/") for one in found]


def test_a_file_is_copied_there_and_back(aws, s3, bucket, name, tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "a file").write_bytes(content)
    up = aws("s3", "cp", "a file", f"s3://{bucket}/{name}/ü b.bin")
    assert (up.returncode, up.stdout.decode()) == (0, f"upload: a file to s3://{bucket}/{name}/ü b.bin\n")
    assert s3.get_object(Bucket=bucket, Key=f"{name}/ü b.bin")["Body"].read() == content
    (tmp_path / "folder").mkdir()
    down = aws("--region", "eu-west-1", "s3", "cp", f"s3://{bucket}/{name}/ü b.bin", "folder/", "--quiet")
    assert (down.returncode, down.stdout, down.stderr) == (0, b"", b"")
    assert (tmp_path / "folder" / "ü b.bin").read_bytes() == content
    over = aws("s3", "cp", f"s3://{bucket}/{name}/ü b.bin", f"s3://{bucket}/{name}/copy")
    assert over.returncode == 0, over.stderr
    assert keys(s3, bucket, name) == ["copy", "ü b.bin"]


def test_streams_are_copied_too(aws, s3, bucket, name):
    put = aws("s3", "cp", "-", f"s3://{bucket}/{name}", "--only-show-errors", given=b"of a pipe")
    assert (put.returncode, put.stdout, put.stderr) == (0, b"", b"")
    assert aws("s3", "cp", f"s3://{bucket}/{name}", "-").stdout == b"of a pipe"


def test_a_folder_is_copied_with_all_that_is_in_it_but_what_is_excluded(aws, s3, bucket, name, tmp_path):
    fill(tmp_path / "out", "a.txt", "b/c.txt", "b/d.log", "e.log")
    target = f"s3://{bucket}/{name}"
    aws("s3", "cp", "out", target, "--recursive", "--exclude", "*.log", "--include", "b/*")
    assert keys(s3, bucket, name) == ["a.txt", "b/c.txt", "b/d.log"]
    assert aws("s3", "cp", target, "back", "--recursive").returncode == 0
    assert sorted(path.name for path in (tmp_path / "back").rglob("*.*")) == ["a.txt", "c.txt", "d.log"]


def test_a_sync_copies_what_differs_and_removes_what_is_gone_only_if_told(aws, s3, bucket, name, tmp_path):
    fill(tmp_path / "out", "a", "b", "c")
    target = f"s3://{bucket}/{name}"
    assert aws("s3", "sync", "out", target).stdout.count(b"upload: ") == 3
    assert aws("s3", "sync", "out", target).stdout == b""
    (tmp_path / "out/a").write_text("longer than before")
    (tmp_path / "out/b").unlink()
    assert aws("s3", "sync", "out", target).stdout.decode() == f"upload: out/a to {target}/a\n"
    assert keys(s3, bucket, name) == ["a", "b", "c"]
    removed = aws("s3", "sync", "out", target, "--delete", "--exclude", "c")
    assert removed.stdout.decode() == f"delete: {target}/b\n"
    assert keys(s3, bucket, name) == ["a", "c"]
    assert aws("s3", "sync", target, "in").returncode == 0
    assert (tmp_path / "in/a").read_text() == "longer than before"
    assert aws("s3", "sync", target, "in").stdout == b""


def test_a_listing_shows_folders_and_objects(aws, s3, bucket, name):
    for key in ("x", "y/z"):
        s3.put_object(Bucket=bucket, Key=f"{name}/{key}", Body=b"12345")
    shown = aws("s3", "ls", f"s3://{bucket}/{name}/").stdout.decode().splitlines()
    assert shown[0] == f"{'PRE':>30} y/"
    assert shown[1].split()[2:] == ["5", "x"]
    deep = aws("s3", "ls", f"s3://{bucket}/{name}/", "--recursive").stdout.decode().splitlines()
    assert [line.split()[3] for line in deep] == [f"{name}/x", f"{name}/y/z"]
    assert bucket in aws("s3", "ls").stdout.decode()
    assert aws("s3", "ls", f"s3://{bucket}/nobody-has-this").returncode == 1


def test_what_fails_says_so_as_the_cloud_does(aws, bucket, tmp_path):
    missing = aws("s3", "cp", f"s3://{bucket}/nobody-has-this", ".")
    words = "fatal error: An error occurred (404) when calling the HeadObject operation: Not Found\n"
    assert (missing.returncode, missing.stderr.decode()) == (1, words)
    fill(tmp_path, "a")
    refused = aws("s3", "cp", "a", "s3://nobodys-bucket/a", "--only-show-errors")
    assert refused.returncode == 1
    words = "upload failed: a to s3://nobodys-bucket/a An error occurred (NoSuchBucket) when calling the Put"
    assert refused.stderr.decode().startswith(words)
    absent = aws("s3", "cp", "no-such-file", f"s3://{bucket}/a")
    assert (absent.returncode, "does not exist" in absent.stderr.decode()) == (255, True)
    gone = aws("s3", "sync", "s3://nobodys-bucket/x", ".")
    assert (gone.returncode, "NoSuchBucket" in gone.stderr.decode()) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [("ec2", "describe-instances"), ("s3", "rb", "s3://x"), ("s3", "cp", "a"), ("s3", "cp", "--x")],
)
def test_anything_else_is_refused(aws, arguments):
    done = aws(*arguments)
    assert done.returncode == 252
    assert done.stderr.startswith(b"aws: error: ")


def test_it_loads_nothing_that_is_slow_to_start():
    code = "import sys; from local_aws.ec2.guest import aws; print('boto3' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"

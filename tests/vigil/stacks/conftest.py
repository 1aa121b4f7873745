from __future__ import annotations

import uuid

import pytest

from tests.vigil.stacks.launches import REGION, Launcher, make_ground
from vigil.aws import Aws


@pytest.fixture
def launcher(aws: Aws) -> Launcher:
    """Launches on the embedded AWS, in an environment and a bucket of the test's own."""
    bucket = f"stacks-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    return Launcher(aws, make_ground(aws, bucket), bucket)

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xgboost

from tests.vigil.release.releasing import Registry
from vigil.aws import Aws
from vigil.features import FEATURE_NAMES


@pytest.fixture
def sagemaker(aws: Aws) -> Any:
    return aws.client("sagemaker")


@pytest.fixture
def runtime(aws: Aws) -> Any:
    return aws.client("sagemaker-runtime")


@pytest.fixture(scope="session")
def artifact() -> bytes:
    """A trained model as SageMaker packs it."""
    features = np.random.default_rng(1).random((50, len(FEATURE_NAMES)))
    booster = xgboost.train({}, xgboost.DMatrix(features, features.sum(axis=1)), num_boost_round=2)
    model = booster.save_raw("ubj")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("xgboost-model")
        entry.size = len(model)
        archive.addfile(entry, io.BytesIO(model))
    return packed.getvalue()


@pytest.fixture
def registry(aws: Aws, artifact: bytes) -> Iterator[Registry]:
    """A bucket, a group and an endpoint of this test's own."""
    name = f"release-{uuid.uuid4().hex[:12]}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    registry = Registry(s3, aws.client("sagemaker"), name, artifact)
    yield registry
    registry.take_down()

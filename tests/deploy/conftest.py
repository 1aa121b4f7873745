"""The embedded AWS as templates see it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
import pytest

Client = Callable[[str], Any]


@pytest.fixture(scope="session")
def client(local_aws: str) -> Client:
    """Clients of the embedded AWS."""
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return cache(lambda name: boto3.client(name, endpoint_url=local_aws, region_name="eu-west-1", **keys))

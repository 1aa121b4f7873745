from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.release.releasing import HOSTING, Registry, bring_up
from vigil.errors import SettingsError
from vigil.release.deployment import State
from vigil.release.hosting import refuse_other_hosting

SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}


@pytest.mark.parametrize(
    ("present", "other", "said"),
    [
        (HOSTING, SERVERLESS, "serves on instances, and the model spec wants it serverless"),
        (SERVERLESS, HOSTING, "serves serverless, and the model spec wants it on instances"),
    ],
)
def test_an_endpoint_that_serves_in_the_other_way_is_refused_before_anything_is_trained(
    registry: Registry,
    connection: Connection[Any],
    sagemaker: Any,
    present: dict[str, Any],
    other: dict[str, Any],
    said: str,
) -> None:
    refuse_other_hosting(sagemaker, registry.name, other)  # there is none yet
    deployment = replace(registry.plan(1), hosting=present)
    assert bring_up(connection, sagemaker, deployment).state is State.SERVING
    refuse_other_hosting(sagemaker, registry.name, present)
    with pytest.raises(SettingsError, match=said):
        refuse_other_hosting(sagemaker, registry.name, other)

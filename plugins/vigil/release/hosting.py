"""On what an endpoint serves: on instances, or serverless."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from vigil.errors import SettingsError
from vigil.sagemaker_jobs import is_missing

_FAILED = "Failed"
_WAYS = {True: "serverless", False: "on instances"}


def refuse_other_hosting(sagemaker: Any, endpoint: str, hosting: Mapping[str, Any]) -> None:
    """Refuse a release to an endpoint that serves in the other way.

    SageMaker makes a serverless endpoint of one on instances, and not the reverse: a release would not work,
    or could not be taken back.

    Args:
        sagemaker: client.
        endpoint: its name.
        hosting: what the model spec says of its variants.

    Raises:
        SettingsError: the endpoint is there, and serves otherwise.
    """
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if is_missing(error):
            return
        raise
    if described["EndpointStatus"] == _FAILED:
        return  # a release deletes it, and makes it anew
    is_serverless = any("CurrentServerlessConfig" in one for one in described.get("ProductionVariants", []))
    wants_serverless = "ServerlessConfig" in hosting
    if is_serverless != wants_serverless:
        raise SettingsError(
            f"The endpoint {endpoint} serves {_WAYS[is_serverless]}, and the model spec wants it "
            f"{_WAYS[wants_serverless]}: SageMaker cannot change that there and back. Say another "
            "endpoint.name in the spec, and delete the old endpoint once the new one serves."
        )

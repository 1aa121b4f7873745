"""A client that never stops calling the endpoint, and counts the calls that failed."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_PAUSE_S = 0.05


class EndpointClient:
    """Calls an endpoint from a thread of its own until it is told to stop.

    Nothing is tried twice: a failed call is a failed call.

    Args:
        endpoint_url: where the embedded AWS answers.
        region: of the endpoint.
        endpoint: its name.
        row: features in CSV.
    """

    def __init__(self, endpoint_url: str, region: str, endpoint: str, row: str) -> None:
        self._client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=endpoint_url,
            region_name=region,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - the embedded AWS takes any
            config=Config(retries={"total_max_attempts": 1}),
        )
        self._request: dict[str, Any] = {
            "EndpointName": endpoint,
            "ContentType": "text/csv",
            "Body": row.encode(),
        }
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._call_until_stopped, daemon=True)
        self.calls = 0
        self.failures: list[str] = []
        self.answers_by_variant: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to call."""
        self._thread.start()

    def stop(self) -> None:
        """End after the call that is under way."""
        self._stopped.set()
        self._thread.join(timeout=30)

    def _call_until_stopped(self) -> None:
        while not self._stopped.wait(_PAUSE_S):
            self.calls += 1
            try:
                answer = self._client.invoke_endpoint(**self._request)
                float(answer["Body"].read().decode().strip())
            except (ClientError, BotoCoreError, ValueError) as error:
                self.failures.append(str(error))
            else:
                self.answers_by_variant[answer["InvokedProductionVariant"]] += 1

"""Asks a SageMaker endpoint what to expect: many windows a call, within the limit of its payload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from numpy.typing import NDArray

from vigil.errors import CloudError
from vigil.predictions import CSV, predictions_of, request_body

REAL_TIME_PAYLOAD_BYTES = 6_291_456
SERVERLESS_PAYLOAD_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Predictions:
    """What an endpoint answered for n windows.

    Attributes:
        expected: events, shape (n,).
        variants: name of the production variant that answered, n of them.
        calls: how often the endpoint was invoked.
    """

    expected: NDArray[np.float64]
    variants: list[str]
    calls: int


class Predictor(Protocol):
    """Says what to expect."""

    def predict(self, features: NDArray[np.float64]) -> Predictions:
        """Return what is expected of n windows, described by features of shape (n, k)."""
        ...


PredictorOf = Callable[[str], Predictor]
"""Gives the predictor of an endpoint by its name."""


@dataclass(frozen=True)
class EndpointPredictor:
    """Invokes an endpoint with CSV.

    Attributes:
        client: boto3 client of sagemaker-runtime.
        endpoint: its name.
        payload_bytes: most that one call may carry; serverless endpoints take less.
    """

    client: Any
    endpoint: str
    payload_bytes: int = REAL_TIME_PAYLOAD_BYTES

    def predict(self, features: NDArray[np.float64]) -> Predictions:
        """Return what the endpoint expects of n windows.

        Raises:
            CloudError: the endpoint is missing or cannot be reached, or its answer cannot be used.
        """
        expected: list[float] = []
        variants: list[str] = []
        calls = 0
        for body, rows in _bodies(features, self.payload_bytes):
            answer, content_type, variant = self._invoke(body)
            expected.extend(self._numbers(answer, content_type, rows))
            variants.extend([variant] * rows)
            calls += 1
        return Predictions(np.array(expected, dtype=float), variants, calls)

    def _numbers(self, answer: bytes, content_type: str, rows: int) -> list[float]:
        try:
            return predictions_of(answer, content_type, rows)
        except CloudError as error:
            raise CloudError(
                f"The answer of the endpoint {self.endpoint} cannot be used: {error} Does it serve the model "
                "it was released with? If not, roll back."
            ) from error

    def _invoke(self, body: bytes) -> tuple[bytes, str, str]:
        try:
            response = self.client.invoke_endpoint(EndpointName=self.endpoint, ContentType=CSV, Body=body)
            return (
                response["Body"].read(),
                response["ContentType"],
                response.get("InvokedProductionVariant", ""),
            )
        except ClientError as error:
            raise CloudError(
                f"The endpoint {self.endpoint} did not predict ({error}): see whether it is in service, and "
                "its log group /aws/sagemaker/Endpoints. The windows stay unjudged and are judged next time."
            ) from error
        except BotoCoreError as error:
            raise CloudError(
                f"The endpoint {self.endpoint} cannot be reached ({error}): check the network and the AWS "
                "connection. The windows stay unjudged and are judged next time."
            ) from error


def _bodies(features: NDArray[np.float64], payload_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Yield CSV bodies within the limit, and how many rows each has."""
    lines: list[bytes] = []
    size = 0
    for row in features.tolist():
        line = request_body([row])
        if lines and size + len(line) + 1 > payload_bytes:
            yield b"\n".join(lines), len(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield b"\n".join(lines), len(lines)

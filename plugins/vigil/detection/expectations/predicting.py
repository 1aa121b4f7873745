"""Asks a SageMaker endpoint what to expect: many windows a call, within the limit of its payload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
        runtime: boto3 client of sagemaker-runtime.
        sagemaker: boto3 client of sagemaker.
        endpoint: its name.
    """

    runtime: Any
    sagemaker: Any
    endpoint: str

    def predict(self, features: NDArray[np.float64]) -> Predictions:
        """Return what the endpoint expects of n windows.

        Raises:
            CloudError: the endpoint is missing or cannot be reached, or its answer cannot be used.
        """
        expected: list[float] = []
        variants: list[str] = []
        calls = 0
        lines = [request_body([row]) for row in features.tolist()]
        for body, rows in bodies_of(lines, self._payload_bytes(lines)):
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

    def _payload_bytes(self, lines: Sequence[bytes]) -> int:
        """Return how much a call may carry; the endpoint is asked only where what there is might be more."""
        if sum(map(len, lines)) + len(lines) <= SERVERLESS_PAYLOAD_BYTES:
            return SERVERLESS_PAYLOAD_BYTES
        with self._reaching():
            variants = self.sagemaker.describe_endpoint(EndpointName=self.endpoint)["ProductionVariants"]
        is_serverless = any("CurrentServerlessConfig" in variant for variant in variants)
        return SERVERLESS_PAYLOAD_BYTES if is_serverless else REAL_TIME_PAYLOAD_BYTES

    def _invoke(self, body: bytes) -> tuple[bytes, str, str]:
        with self._reaching():
            response = self.runtime.invoke_endpoint(EndpointName=self.endpoint, ContentType=CSV, Body=body)
            return (
                response["Body"].read(),
                response["ContentType"],
                response.get("InvokedProductionVariant", ""),
            )

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
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


def bodies_of(lines: Iterable[bytes], payload_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Yield bodies within the limit, as few as there can be, and how many lines each has."""
    body: list[bytes] = []
    size = 0
    for line in lines:
        if body and size + len(line) + 1 > payload_bytes:
            yield b"\n".join(body), len(body)
            body, size = [], 0
        body.append(line)
        size += len(line) + 1
    if body:
        yield b"\n".join(body), len(body)

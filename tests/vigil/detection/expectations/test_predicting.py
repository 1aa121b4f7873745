from __future__ import annotations

import io
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from vigil.detection.expectations.predicting import EndpointPredictor, bodies_of
from vigil.errors import CloudError


class Runtime:
    """Answers like sagemaker-runtime: with the sum of each row, from the variant `blue`."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.bodies: list[bytes] = []

    def invoke_endpoint(self, EndpointName: str, ContentType: str, Body: bytes) -> dict[str, Any]:  # noqa: N803
        assert (EndpointName, ContentType) == ("counts", "text/csv")
        self.bodies.append(Body)
        if isinstance(self.answer, Exception):
            raise self.answer
        sums = [sum(map(float, line.split(","))) for line in Body.decode().split("\n")]
        text = self.answer if isinstance(self.answer, str) else "\n".join(map(repr, sums))
        return {
            "Body": io.BytesIO(text.encode()),
            "ContentType": "application/json" if text.startswith("{") else "text/csv",
            "InvokedProductionVariant": "blue",
        }


class SageMaker:
    """Tells of what kind the endpoint is."""

    def __init__(self, **variant: object) -> None:
        self.variant = variant
        self.asked = 0

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        assert EndpointName == "counts"
        self.asked += 1
        return {"ProductionVariants": [self.variant]}


def predict(runtime: Runtime, rows: int = 2) -> Any:
    return EndpointPredictor(runtime, SageMaker(), "counts").predict(np.ones((rows, 3)))


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1), st.integers(10, 60))
def test_bodies_are_within_the_limit_and_as_few_as_there_can_be(lines: list[bytes], limit: int) -> None:
    lines = [line.replace(b"\n", b" ") for line in lines]
    bodies = list(bodies_of(lines, limit))
    assert [line for body, _ in bodies for line in body.split(b"\n")] == lines
    assert [rows for _, rows in bodies] == [len(body.split(b"\n")) for body, _ in bodies]
    assert all(len(body) <= limit for body, _ in bodies)
    for (one, _), (following, _) in pairwise(bodies):
        assert len(one) + 1 + len(following.split(b"\n")[0]) + 1 > limit


@pytest.mark.parametrize(
    ("rows", "variant", "asked", "calls"),
    [
        (100, {"CurrentServerlessConfig": {}}, 0, 1),
        (120_000, {"CurrentServerlessConfig": {}}, 1, 2),
        (120_000, {}, 1, 1),
    ],
)
def test_a_call_carries_what_the_kind_of_endpoint_takes(
    rows: int, variant: dict[str, object], asked: int, calls: int
) -> None:
    runtime, sagemaker = Runtime(), SageMaker(**variant)
    features = np.full((rows, 2), 0.1234567890123456)
    predictions = EndpointPredictor(runtime, sagemaker, "counts").predict(features)
    np.testing.assert_array_equal(predictions.expected, features.sum(axis=1))
    assert predictions.variants == ["blue"] * rows
    assert (predictions.calls, len(runtime.bodies), sagemaker.asked) == (calls, calls, asked)
    assert max(map(len, runtime.bodies)) <= (4_194_304 if variant else 6_291_456)


def test_features_lose_no_digit_on_their_way() -> None:
    runtime = Runtime()
    value = 0.1 + 0.2
    EndpointPredictor(runtime, SageMaker(), "counts").predict(np.array([[value]]))
    assert float(runtime.bodies[0]) == value


def test_no_window_needs_no_call() -> None:
    assert predict(Runtime(), rows=0).calls == 0


@pytest.mark.parametrize(
    "answer", ["1.5,2.5", "1.5\n2.5\n", json.dumps({"predictions": [{"score": 1.5}, {"score": 2.5}]})]
)
def test_csv_lines_and_json_are_understood(answer: str) -> None:
    assert predict(Runtime(answer)).expected.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("1.5", "1 predictions to 2 rows"),
        ("1,2,3", "3 predictions to 2 rows"),
        ("", "holds no predictions"),
        ("1.5,nan", "no finite number"),
        ("1.5,inf", "no finite number"),
        ("<html>", "holds no predictions"),
        (json.dumps({"predictions": [{"label": 1}, {"label": 2}]}), "holds no predictions"),
        ("{", "holds no predictions"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_that_names_the_endpoint(answer: str, message: str) -> None:
    with pytest.raises(CloudError, match=message) as refusal:
        predict(Runtime(answer))
    assert "counts" in str(refusal.value)
    assert "roll back" in str(refusal.value)


@pytest.mark.parametrize(
    "failure",
    [
        ClientError(
            {"Error": {"Code": "ValidationError", "Message": "Endpoint counts not found."}}, "Invoke"
        ),
        EndpointConnectionError(endpoint_url="http://localhost:1"),
    ],
)
def test_an_endpoint_that_does_not_answer_is_an_error_that_names_it(failure: Exception) -> None:
    with pytest.raises(CloudError, match=r"The endpoint counts .* stay unjudged"):
        predict(Runtime(failure))

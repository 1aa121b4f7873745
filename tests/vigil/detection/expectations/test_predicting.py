from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from vigil.detection.expectations.predicting import EndpointPredictor
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


def predict(runtime: Runtime, rows: int = 2, **options: Any) -> Any:
    return EndpointPredictor(runtime, "counts", **options).predict(np.ones((rows, 3)))


@given(st.integers(1, 60), st.integers(30, 400))
def test_many_windows_go_in_as_few_calls_as_the_payload_allows(rows: int, payload: int) -> None:
    runtime = Runtime()
    features = np.arange(rows * 3, dtype=float).reshape(rows, 3)
    predictions = EndpointPredictor(runtime, "counts", payload).predict(features)
    np.testing.assert_array_equal(predictions.expected, features.sum(axis=1))
    assert predictions.variants == ["blue"] * rows
    assert predictions.calls == len(runtime.bodies)
    assert all(len(body) <= payload for body in runtime.bodies)
    for one, following in zip(runtime.bodies, runtime.bodies[1:], strict=False):
        assert len(one) + 1 + len(following.split(b"\n")[0]) + 1 > payload


def test_features_lose_no_digit_on_their_way() -> None:
    runtime = Runtime()
    value = 0.1 + 0.2
    EndpointPredictor(runtime, "counts").predict(np.array([[value]]))
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

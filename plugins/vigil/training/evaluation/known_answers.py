"""Takes rows with known answers from what the candidate said in Batch Transform, and keeps them on S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from vigil.answers import cut_line
from vigil.aws import S3Location
from vigil.errors import DataError
from vigil.smoke_tests import SmokeTest
from vigil.training.dataset import Dataset
from vigil.training.request import TrainingRun, features_in_predictions

SMOKE_TEST = "smoke-test.json"
_HELDOUT = "heldout/test.csv"
_ANSWERS = "test.csv.out"
# Room for some rows of thousands of features; the files themselves may have any size.
_FRONT_BYTES = 1024 * 1024


def smoke_test_of(s3: Any, run: TrainingRun, dataset: Dataset, rows: int = 5) -> SmokeTest:
    """Return the first rows of the test part and the candidate's own answers to them.

    Args:
        s3: client.
        run: whose candidate has predicted the held-out rows.
        dataset: of the run.
        rows: how many; fewer if the test part, or the front of it that is read, holds fewer.

    Raises:
        DataError: a file is missing or not as it must be, or the two are not about the same rows.
    """
    given, told = dataset.location / _HELDOUT, run.candidate_predictions / _ANSWERS
    front = 1 + len(dataset.keys)
    features, answers = [], []
    # The two fronts end at different rows.
    pairs = zip(_first_lines(s3, given), _first_lines(s3, told), strict=False)
    for number, (row, answer) in enumerate(islice(pairs, rows), 1):
        try:
            asked, values = cut_line(row, front)
            joined, numbers = cut_line(answer, front + features_in_predictions(dataset))
        except ValueError as error:
            raise DataError(f"Line {number} of {given} or {told} is not as it must be: {error}.") from error
        if asked != joined[:front]:
            raise DataError(
                f"Line {number} of {told} answers {joined[:front]}, and {given} asks about {asked} "
                "there: was the data set written anew? Predict it again."
            )
        features.append(tuple(values))
        answers.append(tuple(numbers))
    if not features:
        raise DataError(
            f"{given} and {told} share no whole line in their first {_FRONT_BYTES} bytes: there is nothing "
            "to test an endpoint with."
        )
    return SmokeTest(rows=tuple(features), answers=tuple(answers))


def save_smoke_test(s3: Any, location: S3Location, test: SmokeTest) -> None:
    """Write a smoke test as JSON."""
    s3.put_object(Bucket=location.bucket, Key=location.key, Body=json.dumps(test.to_json()).encode())


def read_smoke_test(s3: Any, location: S3Location) -> SmokeTest:
    """Read a smoke test.

    Raises:
        DataError: there is none.
    """
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    except s3.exceptions.NoSuchKey as error:
        raise DataError(f"{location} is missing: was the candidate registered with a smoke test?") from error
    return SmokeTest.from_json(json.loads(body))


def _first_lines(s3: Any, location: S3Location) -> Iterator[str]:
    """Yield the whole lines in the front of an object."""
    try:
        answer = s3.get_object(Bucket=location.bucket, Key=location.key, Range=f"bytes=0-{_FRONT_BYTES - 1}")
    except s3.exceptions.NoSuchKey as error:
        raise DataError(f"{location} is missing: did the job that writes it complete?") from error
    text = answer["Body"].read()
    size = int(answer["ContentRange"].rpartition("/")[2])
    if size > len(text):
        text = text[: text.rfind(b"\n") + 1]
    yield from (line.rstrip("\r") for line in text.decode().split("\n") if line.strip())

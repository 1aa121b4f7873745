from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymysql.connections import Connection

from tests.conftest import empty
from tests.vigil.detection.doubles import NOW, VERSION
from tests.vigil.training.history import small_spec
from vigil.aws import Aws, S3Location
from vigil.database import Database, statement
from vigil.detection.expectations.lookback import epoch_seconds, lookback_by_key, lookback_in_bulk
from vigil.detection.rows import as_json
from vigil.detection.verdicts import HIGH, Verdict, save_verdicts
from vigil.features import FEATURE_NAMES, features_of, offsets_on
from vigil.holidays import holidays
from vigil.training.counts.export import export_windows
from vigil.training.preparing import prepare_dataset
from vigil.training.spec.model import parse_model_spec
from vigil.windows import WINDOW

FIRST = datetime(2026, 2, 10)
SPEC = parse_model_spec(
    small_spec(
        data={"kind": "event_counts", "history_days": 60, "warm_up_days": 0}, band={"coverage": 0.5}, gates={}
    )
)


@pytest.fixture(autouse=True)
def _needs(database: Database) -> None:
    """Empty the tables after each test."""


@pytest.fixture
def calendar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make every fifth day a holiday."""
    days = (FIRST + timedelta(days=number) for number in range(0, 20, 5))
    (tmp_path / "holidays.yaml").write_text("".join(f"{day:%Y-%m-%d}: a day off\n" for day in days))
    monkeypatch.setattr("vigil.holidays.configs_dir", lambda: tmp_path)
    holidays.cache_clear()
    yield
    holidays.cache_clear()


def prepared(aws: Aws, database: Database) -> dict[tuple[str, datetime], list[float]]:
    """Export everything and prepare a data set; return the features of what is held out, by key."""
    s3 = aws.client("s3")
    bucket = f"lookback-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    manifest = export_windows(database, s3, S3Location(bucket, "export"), FIRST, FIRST + timedelta(days=60))
    prepare_dataset(s3, manifest.location, SPEC, S3Location(bucket, "dataset"))
    described = {}
    for part in ("validation", "test"):
        body = s3.get_object(Bucket=bucket, Key=f"dataset/heldout/{part}.csv")["Body"].read().decode()
        for _, series, start, *features in csv.reader(io.StringIO(body)):
            described[series, datetime.fromisoformat(start)] = [float(feature) for feature in features]
    return described


def judged_features(
    connection: Connection[None], keys: list[tuple[str, datetime]]
) -> tuple[np.ndarray, np.ndarray]:
    """Describe windows of one series as live judging does, and as a backfill does."""
    starts = [start for _, start in keys]
    with connection.cursor() as cursor:
        by_key = lookback_by_key(cursor, keys)
        in_bulk = lookback_in_bulk(cursor, keys[0][0], starts)
    connection.rollback()
    seconds = epoch_seconds(starts)
    return features_of(seconds, by_key, holidays()), features_of(seconds, in_bulk, holidays())


@examples(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(40, 4_600),
    gaps=st.sampled_from([0.0, 0.2]),
    anomalous=st.sampled_from([0.0, 0.1]),
)
def test_both_ways_of_judging_and_training_describe_a_window_alike(
    seed: int,
    length: int,
    gaps: float,
    anomalous: float,
    calendar: None,
    aws: Aws,
    database: Database,
    connection: Connection[None],
    counted: Callable[..., None],
) -> None:
    """One feature function, three roads to it, over gaps, anomalies and holidays."""
    empty(database)
    connection.rollback()
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 500, length)
    counted("orders", counts.tolist(), first=FIRST, live_from=NOW)
    counted("other", [7] * 40, first=FIRST, live_from=NOW)
    starts = [FIRST + place * WINDOW for place in range(length)]
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE window_counts SET usual = 3 WHERE series = 'orders' AND window_start = %s",
            [starts[place] for place in np.flatnonzero(generator.random(length) < anomalous)],
        )
        cursor.executemany(
            "DELETE FROM window_counts WHERE series = 'orders' AND window_start = %s",
            [starts[place] for place in np.flatnonzero(generator.random(length - 30) < gaps)],
        )
    connection.commit()
    trained = prepared(aws, database)
    own = sorted(key for key in trained if key[0] == "orders")
    keys = [own[place] for place in sorted({0, len(own) - 1, *generator.integers(0, len(own), 40).tolist()})]
    live, backfilled = judged_features(connection, keys)
    expected = np.array([trained[key] for key in keys])
    np.testing.assert_array_equal(live, expected)
    np.testing.assert_array_equal(backfilled, expected)


def test_an_anomaly_reaches_neither_features_of_later_days_nor_what_training_learns(
    aws: Aws, database: Database, connection: Connection[None], counted: Callable[..., None]
) -> None:
    days, anomaly = 30, 15 * 288
    described = []
    for count, usual in ((20, None), (5_000, 20)):
        empty(database)
        connection.rollback()
        counts = [20] * (days * 288)
        counts[anomaly] = count
        counted("orders", counts, first=FIRST, live_from=NOW)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE window_counts SET usual = %s WHERE window_start = %s",
                (usual, FIRST + anomaly * WINDOW),
            )
        connection.commit()
        later = [("orders", FIRST + (anomaly + back) * WINDOW) for back in (37, 286, 288, 290, 864, 2_016)]
        recent = [("orders", FIRST + (anomaly + back) * WINDOW) for back in (1, 2, 3)]
        trained = prepared(aws, database)
        described.append((*judged_features(connection, later), *judged_features(connection, recent), trained))
    calm, spoiled = described
    np.testing.assert_array_equal(spoiled[0], calm[0])
    np.testing.assert_array_equal(spoiled[1], calm[1])
    # What has just happened is seen as it was.
    lags = [FEATURE_NAMES.index(f"lag_{lag}") for lag in (1, 2, 3)]
    for features in spoiled[2:4]:
        assert [features[place, lag] for place, lag in enumerate(lags)] == [5_000] * 3
    assert spoiled[4] == calm[4]


def labels_of_training(aws: Aws, database: Database) -> set[str]:
    s3 = aws.client("s3")
    bucket = f"labels-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    manifest = export_windows(database, s3, S3Location(bucket, "export"), FIRST, FIRST + timedelta(days=60))
    prepare_dataset(s3, manifest.location, SPEC, S3Location(bucket, "dataset"))
    body = s3.get_object(Bucket=bucket, Key="dataset/train/train.csv")["Body"].read().decode()
    return {line.split(",")[0] for line in body.splitlines()}


def test_training_learns_of_an_anomaly_as_far_as_it_was_usual_until_a_recount_changes_it(
    aws: Aws, database: Database, connection: Connection[None], counted: Callable[..., None]
) -> None:
    counted("orders", [20] * 10 + [5_000] + [20] * 189, first=FIRST, live_from=NOW)
    start = FIRST + 10 * WINDOW
    high = Verdict("orders", start, 1, VERSION, 5_000, 20.0, 9.0, 35.4, 1e9, True, HIGH)
    with connection.cursor() as cursor:
        save_verdicts(cursor, [high], NOW)
    connection.commit()
    assert labels_of_training(aws, database) == {"20", "35"}
    recounted = [("orders", start, 5_001)]
    with connection.cursor() as cursor:
        cursor.execute(statement("detection/save_counts"), {"now": NOW, "counts": as_json(recounted)})
        # A verdict on the count before comes too late, whoever gives it.
        save_verdicts(cursor, [high], NOW)
        cursor.execute(
            "SELECT observed, revision, usual FROM window_counts WHERE window_start = %s", (start,)
        )
        assert cursor.fetchall() == ((5_001, 2, None),)
    connection.commit()
    assert labels_of_training(aws, database) == {"20", "5001"}


def test_several_series_are_read_at_once_and_not_mixed(
    connection: Connection[None], counted: Callable[..., None]
) -> None:
    counted("a", [1, 2, 3], first=FIRST, live_from=NOW)
    counted("b", [10, 20, 30], first=FIRST, live_from=NOW)
    at_end = FIRST + timedelta(minutes=15)
    with connection.cursor() as cursor:
        lookback = lookback_by_key(cursor, [("b", at_end), ("a", at_end), ("nobody", at_end)])
    assert lookback[:, :3].tolist()[:2] == [[30, 20, 10], [3, 2, 1]]
    assert np.isnan(lookback[2]).all()
    assert lookback.shape == (3, len(offsets_on().all))


def test_epoch_seconds_are_those_of_utc() -> None:
    assert epoch_seconds([datetime(1970, 1, 1), datetime(2026, 1, 1)]).tolist() == [0, 1767225600]

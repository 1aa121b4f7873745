from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymysql.connections import Connection

from tests.conftest import empty
from tests.vigil.detection.doubles import NOW
from vigil.database import Database
from vigil.detection.lookback import epoch_seconds, lookback_by_key, lookback_in_bulk
from vigil.features import features_of, lookback_of, offsets_on
from vigil.windows import WINDOW

FIRST = datetime(2026, 2, 10)


@pytest.fixture(autouse=True)
def _needs(database: Database) -> None:
    """Empty the tables after each test."""


@examples(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 4_300))
def test_both_ways_of_reading_and_the_training_set_describe_a_window_alike(
    seed: int, length: int, database: Database, connection: Connection[None], counted: Callable[..., None]
) -> None:
    """One feature function, three roads to it: by key, in bulk, and from an export as training does."""
    empty(database)
    connection.rollback()
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 500, length)
    counted("orders", counts.tolist(), first=FIRST, live_from=NOW)
    targets = sorted({0, length - 1, *generator.integers(0, length, 6).tolist()})
    starts = [FIRST + target * WINDOW for target in targets]
    exported = lookback_of(counts.astype(float), counts.astype(float), np.array(targets))
    with connection.cursor() as cursor:
        by_key = lookback_by_key(cursor, [("orders", start) for start in starts])
        in_bulk = lookback_in_bulk(cursor, "orders", starts)
    connection.rollback()
    np.testing.assert_array_equal(by_key, exported)
    np.testing.assert_array_equal(in_bulk, exported)
    seconds = epoch_seconds(starts)
    np.testing.assert_array_equal(features_of(seconds, by_key), features_of(seconds, exported))


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

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

import pytest

from tests.vigil.detection.doubles import NOW, ListSource, at, batch_of
from vigil.database import Database
from vigil.detection.collecting import CollectOutcome, collect
from vigil.detection.pipeline import SimulatorOptions
from vigil.detection.sources import Batch, Position
from vigil.detection.sources.simulator import Simulator
from vigil.errors import CloudError
from vigil.settings import Settings

Rows = Callable[..., list[tuple[Any, ...]]]


class Broken:
    name = "broken"

    def take(self, position: Position | None, now: object) -> Batch:
        raise CloudError("the queue is gone: restore it")


def test_every_batch_is_taken_stored_and_then_acknowledged(
    database: Database, settings: Settings, rows: Rows
) -> None:
    stored_at_acknowledgement: list[int] = []

    def acknowledge(foreign: Collection[str]) -> None:
        assert not foreign
        ((count,),) = rows("SELECT COUNT(*) FROM events")
        stored_at_acknowledgement.append(count)

    source = ListSource(
        [
            batch_of([("orders", at("11:00"), "a")], acknowledge=acknowledge),
            batch_of([("orders", at("11:20"), "b")], watermark=at("12:00"), acknowledge=acknowledge),
        ]
    )
    outcome = collect(database, [source], settings, NOW)
    assert outcome == CollectOutcome(ingested=2, recounted=2, changed=2, filled=10)
    assert stored_at_acknowledgement == [1, 2]
    assert source.asked == [None, {"next": 1}]


def test_a_source_that_fails_keeps_no_other_from_being_counted(
    database: Database, settings: Settings, rows: Rows
) -> None:
    source = ListSource([batch_of([("orders", at("11:00"), "a")])])
    with pytest.raises(CloudError, match="the queue is gone"):
        collect(database, [Broken(), source], settings, NOW)
    assert rows("SELECT observed FROM window_counts") == [(1,)]


def test_collecting_in_steps_counts_the_same_as_collecting_once(
    database: Database, settings: Settings, rows: Rows
) -> None:
    options = {
        "kind": "simulator",
        "name": "shop",
        "starts_at": "2026-03-04T08:00:00Z",
        "live_from": "2026-03-04T12:00:00Z",
        "series": [{"name": "orders", "base_rate": 15}],
    }
    source = Simulator(SimulatorOptions.model_validate(options))
    for minutes in range(0, 60, 7):
        collect(database, [source], settings, NOW - timedelta(minutes=60 - minutes))
    collect(database, [source], settings, NOW)
    counted = rows("SELECT window_start, observed FROM window_counts ORDER BY window_start")
    expected = len(source.take(None, NOW).events)
    assert sum(observed for _, observed in counted) == expected
    assert len(counted) == 49
    assert rows("SELECT COUNT(*) FROM events") == [(expected,)]


def test_a_source_of_history_and_a_quiet_run_leave_nothing_to_do(
    database: Database, settings: Settings
) -> None:
    source = ListSource([batch_of([("orders", at("11:00"), "a")], watermark=at("11:05"))])
    collect(database, [source], settings, NOW)
    assert collect(database, [source], settings, NOW) == CollectOutcome()

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.vigil.detection.doubles import NOW, ListSource, at, batch_of
from vigil.database import Database
from vigil.detection import collecting
from vigil.detection.collecting import CollectOutcome, collect
from vigil.detection.pipeline import SimulatorOptions
from vigil.detection.sources import Batch, Position
from vigil.detection.sources.simulator import Simulator
from vigil.errors import CloudError, DatabaseError, VigilError
from vigil.settings import Settings

Rows = Callable[..., list[tuple[Any, ...]]]


@dataclass
class Broken:
    error: Exception
    name: str = "broken"

    def take(self, position: Position | None, now: object) -> Batch:
        raise self.error


GONE = CloudError("the queue is gone: restore it")


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
        collect(database, [Broken(GONE), source], settings, NOW)
    assert rows("SELECT observed FROM window_counts") == [(1,)]


def test_whatever_fails_keeps_nothing_else_from_being_done_and_all_of_it_is_told(
    database: Database, settings: Settings, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("the partitions are not at hand")

    monkeypatch.setattr(collecting, "keep_partitions", fail)
    source = ListSource([batch_of([("orders", at("11:00"), "a")])])
    broken = [Broken(GONE), Broken(TypeError("Decimal is no JSON"), "sales")]
    with pytest.raises(VigilError) as failure:
        collect(database, [*broken, source], settings, NOW)
    assert rows("SELECT observed FROM window_counts") == [(1,)]
    for said in ("partitions are not", "queue is gone", "The source sales failed (TypeError: Decimal is no"):
        assert said in str(failure.value)


def test_sources_take_turns_and_what_is_left_when_the_time_is_over_is_left_to_the_next_run(
    database: Database, settings: Settings, rows: Rows
) -> None:
    turns: list[str] = []

    def source(name: str, batches: int) -> ListSource:
        taken = partial(lambda name, foreign: turns.append(name), name)
        batch = batch_of([(name, at("11:00"), "a")], watermark=at("11:10"), acknowledge=taken)
        return ListSource([batch] * batches, name)

    sources = [source("endless", 4), source("small", 1), source("large", 2)]
    outcome = collect(database, sources, settings, NOW, until=0.0)
    assert turns == ["endless", "small", "large"]
    assert outcome.unfinished == ("endless", "large")
    assert outcome.recounted == 3, "what was taken is counted all the same"
    outcome = collect(database, sources, settings, NOW)
    assert turns[3:] == ["endless", "large", "endless", "endless"]
    assert outcome.unfinished == ()


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


def test_a_renamed_source_keeps_its_series(database: Database, settings: Settings, rows: Rows) -> None:
    collect(database, [ListSource([batch_of([("orders", at("11:00"), "a")])])], settings, NOW)
    renamed = [batch_of([("orders", at("11:01"), "b")], watermark=at("11:05"))]
    outcome = collect(database, [ListSource(renamed, name="till")], settings, NOW)
    assert (outcome.ingested, outcome.foreign) == (1, 0)
    assert rows("SELECT observed FROM window_counts") == [(2,)]
    # As long as both are configured, the series is the first one's.
    both = [ListSource([], name="till"), ListSource([batch_of([("orders", at("11:02"), "c")])], name="queue")]
    assert collect(database, both, settings, NOW).foreign == 1


def test_a_source_of_history_and_a_quiet_run_leave_nothing_to_do(
    database: Database, settings: Settings
) -> None:
    source = ListSource([batch_of([("orders", at("11:00"), "a")], watermark=at("11:05"))])
    collect(database, [source], settings, NOW)
    assert collect(database, [source], settings, NOW) == CollectOutcome()

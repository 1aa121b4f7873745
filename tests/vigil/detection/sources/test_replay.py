from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.vigil.detection.doubles import NOW
from vigil.detection import sources
from vigil.detection.events import instant_of
from vigil.detection.pipeline import ReplayOptions
from vigil.detection.sources import Batch
from vigil.detection.sources import replay as replaying
from vigil.detection.sources.replay import Replay
from vigil.errors import DataError, SettingsError
from vigil.windows import WINDOW, window_of

ROWS = "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,0\n2015-02-26 21:52:53,7\n"


def replay(path: Path, **options: Any) -> Replay:
    return Replay(ReplayOptions.model_validate({"kind": "replay", "name": "r", "path": path, **options}))


def batches(source: Replay, now: datetime = NOW) -> list[Batch]:
    taken: list[Batch] = []
    position = None
    while not taken or taken[-1].more:
        taken.append(source.take(position, now))
        position = taken[-1].position
    return taken


def counts(source: Replay, now: datetime = NOW) -> Counter[tuple[str, datetime]]:
    return Counter(
        (series, window_of(instant_of(occurred)))
        for batch in batches(source, now)
        for series, occurred, _ in batch.events.rows()
    )


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    file = tmp_path / "orders.csv"
    file.write_text(ROWS)
    return file


def test_a_row_becomes_as_many_events_in_the_window_its_stamp_lies_in(orders: Path) -> None:
    assert counts(replay(orders)) == {
        ("orders", datetime(2015, 2, 26, 21, 40)): 104,
        ("orders", datetime(2015, 2, 26, 21, 50)): 7,
    }


def test_every_event_has_an_identity_of_its_own_that_is_the_same_next_time(orders: Path) -> None:
    rows = batches(replay(orders))[0].events.rows()
    assert len({(series, event_id) for series, _, event_id in rows}) == 111
    assert batches(replay(orders))[0].events.rows() == rows


def test_the_series_ends_with_its_last_row_and_is_history(orders: Path) -> None:
    state = batches(replay(orders))[-1].series["orders"]
    assert state.watermark == state.retired_at == datetime(2015, 2, 26, 21, 55)
    assert state.first_window == datetime(2015, 2, 26, 21, 40)
    assert state.live_from == sources.NEVER


def test_a_shift_keeps_weekday_and_hour_and_ends_in_the_week_before(orders: Path) -> None:
    (first, *_, last) = sorted(window for _, window in counts(replay(orders, ends="last_week")))
    assert (first.weekday(), first.time()) == (3, datetime(2015, 2, 26, 21, 40).time())
    assert NOW - timedelta(weeks=1) < last + WINDOW <= NOW


def test_the_shift_stays_what_it_was_on_the_first_run(orders: Path) -> None:
    source = replay(orders, ends="last_week")
    position = {**source.take(None, NOW).position, "taken": {"orders": 3}}
    again = source.take(position, NOW + timedelta(weeks=5))
    assert again.position["shift_weeks"] == position["shift_weeks"]
    assert len(again.events) == 108


def test_a_fixed_shift_is_taken_as_it_is(orders: Path) -> None:
    windows = {window for _, window in counts(replay(orders, shift_weeks=2))}
    assert datetime(2015, 3, 12, 21, 40) in windows


def test_what_is_finished_gives_nothing_more(orders: Path) -> None:
    source = replay(orders)
    done = source.take(source.take(None, NOW).position, NOW)
    assert (len(done.events), done.more) == (0, False)


def test_a_long_file_comes_in_batches_that_lose_and_double_nothing(
    orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = batches(replay(orders))[0].events.rows()
    monkeypatch.setattr(replaying, "EVENTS_PER_BATCH", 10)
    parts = batches(replay(orders))
    assert sorted(row for batch in parts for row in batch.events.rows()) == whole
    assert all(len(batch.events) <= 10 for batch in parts)
    states = [batch.series["orders"] for batch in parts]
    # In the middle of the first row nothing is complete yet; only the last batch is the end.
    assert states[0].watermark == datetime(2015, 2, 26, 21, 40)
    assert states[-2].watermark == datetime(2015, 2, 26, 21, 50)
    assert states[-1].watermark == datetime(2015, 2, 26, 21, 55)


def test_the_files_of_a_folder_come_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    (tmp_path / "b.csv").write_text("timestamp,value\n2015-02-26 21:42:53,2\n")
    totals = Counter(series for (series, _), count in counts(replay(tmp_path)).items() for _ in range(count))
    assert totals == {"a": 111, "b": 2}


def test_rows_in_one_window_add_up_and_any_order_will_do(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(
        "value,timestamp\n3,2015-02-26 21:44:00\n1,2015-02-26 21:39:59\n2.0,2015-02-26T21:40:00Z\n"
    )
    assert sorted(counts(replay(file)).values()) == [1, 5]


def test_a_file_without_a_single_event_still_retires_its_series(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("timestamp,value\n2015-02-26 21:42:53,0\n")
    (batch,) = batches(replay(file))
    assert len(batch.events) == 0
    assert batch.series["orders"].retired_at == datetime(2015, 2, 26, 21, 45)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,value\n", "the column timestamp is missing"),
        ("timestamp,count\n2015-02-26 21:42:53,1\n", "the column value is missing.*timestamp,count"),
        ("", "the column timestamp is missing.*it reads nothing"),
        ("timestamp,value\n", "there is no row"),
        ("timestamp,value\n2015-02-26 21:42:53,NaN\n", "row 2, column value: 'NaN' is no count"),
        ("timestamp,value\n2015-02-26 21:42:53,1\n2015-02-26 21:47:53,-1\n", "row 3, column value: '-1'"),
        ("timestamp,value\n2015-02-26 21:42:53,1.5\n", "row 2, column value: '1.5'"),
        ("timestamp,value\n2015-02-26 21:42:53,inf\n", "row 2, column value: 'inf'"),
        ("timestamp,value\n2015-02-26 21:42:53,\n", "row 2, column value: ''"),
        ("timestamp,value\n2015-02-26 21:42:53\n", "row 2, column value: None"),
        ("timestamp,value\nyesterday,1\n", "row 2, column timestamp: 'yesterday' is no time"),
    ],
)
def test_a_file_that_holds_no_counts_is_refused_before_anything_is_given(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(DataError, match=message) as refusal:
        replay(tmp_path).take(None, NOW)
    assert "b.csv" in str(refusal.value)


def test_a_file_whose_name_is_no_series_is_refused(tmp_path: Path) -> None:
    (tmp_path / "two words.csv").write_text(ROWS)
    with pytest.raises(DataError, match="two words"):
        replay(tmp_path).take(None, NOW)


def test_a_path_without_a_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"finds no CSV at .*nowhere"):
        replay(tmp_path / "nowhere").take(None, NOW)

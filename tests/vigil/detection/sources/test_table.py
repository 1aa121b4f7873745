from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.detection.doubles import NOW
from vigil.database import Database, connected
from vigil.detection.collecting import collect
from vigil.detection.events import instant_of
from vigil.detection.pipeline import TableOptions
from vigil.detection.sources import table as tables
from vigil.detection.sources.table import Table
from vigil.errors import DatabaseError, DataError
from vigil.settings import Settings

Rows = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def shop(blank_database: Database) -> Iterator[Connection[Any]]:
    """Somebody else's table, in another schema."""
    with connected(blank_database) as connection:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE sales (sale INT PRIMARY KEY, `kind` VARCHAR(80), sold_at DATETIME(6),"
                " written_at DATETIME(6), KEY (written_at, sale))"
            )
        yield connection


def source(database: Database, **changes: Any) -> Table:
    options = {
        "kind": "table",
        "name": "shop",
        "connection": "shop_database",
        "table": "blank.sales",
        "time_column": "sold_at",
        "id_column": "sale",
        "series_column": "kind",
        "arrived_column": "written_at",
        "settle_s": 30,
        **changes,
    }
    return Table(TableOptions.model_validate(options), lambda: database)


def clock(shop: Connection[Any]) -> datetime:
    with shop.cursor() as cursor:
        cursor.execute("SELECT UTC_TIMESTAMP(6)")
        ((now,),) = cursor.fetchall()
    return now


def sell(shop: Connection[Any], *sales: tuple[int, str | None, datetime | None, datetime]) -> None:
    with shop.cursor() as cursor:
        cursor.executemany("INSERT INTO sales VALUES (%s, %s, %s, %s)", sales)


def test_rows_become_events_and_the_watermark_is_the_databases_clock_minus_settling(
    shop: Connection[Any], blank_database: Database
) -> None:
    now = clock(shop)
    sell(shop, (1, "orders", now - timedelta(hours=1), now - timedelta(minutes=1)))
    shop.commit()
    batch = source(blank_database).take(None, now + timedelta(hours=1))
    assert [(name, instant_of(at), number) for name, at, number in batch.events.rows()] == [
        ("orders", now - timedelta(hours=1), "1")
    ]
    assert batch.watermark is not None
    assert timedelta(seconds=-1) <= batch.watermark - (now - timedelta(seconds=30)) < timedelta(seconds=20)
    assert not batch.more


def test_a_row_that_commits_after_a_younger_one_was_taken_is_found(
    shop: Connection[Any], blank_database: Database, database: Database, settings: Settings, rows: Rows
) -> None:
    now = clock(shop)
    with connected(blank_database) as slow:
        sell(slow, (1, "orders", now, now - timedelta(seconds=10)))
        sell(shop, (2, "orders", now, now - timedelta(seconds=5)))
        shop.commit()
        table = source(blank_database)
        collect(database, [table], settings, now)
        assert rows("SELECT event_id FROM events") == [("2",)]
        slow.commit()
    collect(database, [table], settings, now)
    assert rows("SELECT event_id FROM events ORDER BY event_id") == [("1",), ("2",)]
    assert rows("SELECT SUM(observed) FROM window_counts") == [(2,)]


def test_many_rows_come_in_pages_even_when_they_arrived_at_once(
    shop: Connection[Any], blank_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 3)
    arrived = clock(shop) - timedelta(minutes=10)
    sell(shop, *((number, "orders", arrived, arrived) for number in range(10)))
    shop.commit()
    position, seen, more = None, [], True
    while more:
        batch = source(blank_database).take(position, NOW)
        seen += [event_id for _, _, event_id in batch.events.rows()]
        position, more = batch.position, batch.more
    assert sorted(seen, key=int) == [str(number) for number in range(10)]


def test_a_row_is_never_skipped_however_the_pages_fall(
    shop: Connection[Any], blank_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 2)
    start = clock(shop) - timedelta(minutes=10)
    sell(shop, *((n, "orders", start, start + timedelta(seconds=n // 3)) for n in range(11)))
    shop.commit()
    position, seen, more = None, set(), True
    while more:
        batch = source(blank_database).take(position, NOW)
        seen |= {event_id for _, _, event_id in batch.events.rows()}
        position, more = batch.position, batch.more
    assert len(seen) == 11


def test_a_row_that_commits_after_full_pages_of_younger_ones_were_taken_is_found(
    shop: Connection[Any],
    blank_database: Database,
    database: Database,
    settings: Settings,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 2)
    now = clock(shop)
    with connected(blank_database) as slow:
        sell(slow, (1, "orders", now, now - timedelta(seconds=20)))
        sell(shop, *((n, "orders", now, now - timedelta(seconds=12 - n)) for n in range(2, 9)))
        shop.commit()
        table = source(blank_database)
        collect(database, [table], settings, now)
        assert rows("SELECT COUNT(*) FROM events") == [(7,)]
        slow.commit()
    collect(database, [table], settings, now)
    assert rows("SELECT COUNT(*) FROM events WHERE event_id = '1'") == [(1,)]


def test_a_pass_that_was_broken_off_among_unsettled_rows_still_goes_back_to_them(
    shop: Connection[Any], blank_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 2)
    now = clock(shop)
    sell(shop, *((n, "orders", now, now - timedelta(seconds=12 - n)) for n in range(2, 7)))
    shop.commit()
    broken_off = source(blank_database).take(None, NOW)
    assert broken_off.more
    assert broken_off.watermark is not None
    assert broken_off.watermark < now - timedelta(seconds=29)
    sell(shop, (1, "orders", now, now - timedelta(seconds=20)))
    shop.commit()
    batch, seen = broken_off, set()
    for _ in range(6):
        batch = source(blank_database).take(batch.position, NOW)
        seen |= {event_id for _, _, event_id in batch.events.rows()}
    assert seen == set("123456")


def test_stamps_of_the_future_hold_up_no_row_that_comes_after_them(
    shop: Connection[Any], blank_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 2)
    now = clock(shop)
    sell(shop, *((n, "orders", now, now + timedelta(days=n)) for n in range(2, 6)))
    shop.commit()
    position, more = None, True
    while more:
        batch = source(blank_database).take(position, NOW)
        position, more = batch.position, batch.more
    sell(shop, (1, "orders", now, now))
    shop.commit()
    batch = source(blank_database).take(position, NOW)
    assert "1" in {event_id for _, _, event_id in batch.events.rows()}


def test_a_stamp_that_was_cut_to_the_second_is_not_older_than_the_position(
    shop: Connection[Any], blank_database: Database
) -> None:
    now = clock(shop)
    first = source(blank_database).take(None, NOW)
    cut = datetime.fromisoformat(first.position["arrived"]).replace(microsecond=0)
    sell(shop, (1, "orders", now, cut))
    shop.commit()
    assert len(source(blank_database).take(first.position, NOW).events) == 1


def test_rows_without_an_id_hide_none_that_arrived_with_them(
    shop: Connection[Any], blank_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 2)
    arrived = clock(shop) - timedelta(minutes=10)
    with shop.cursor() as cursor:
        cursor.execute("CREATE TABLE tills LIKE sales")
        cursor.execute("ALTER TABLE tills DROP PRIMARY KEY, MODIFY sale INT NULL")
        cursor.executemany(
            "INSERT INTO tills VALUES (%s, 'orders', %s, %s)",
            [(sale, arrived, arrived) for sale in (None, None, 1, 2, 3)],
        )
    shop.commit()
    table = source(blank_database, table="blank.tills")
    position, seen = None, set()
    for _ in range(4):
        batch = table.take(position, NOW)
        position = batch.position
        seen |= {event_id for _, _, event_id in batch.events.rows()}
    assert seen == {"1", "2", "3"}


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        ("BINARY(16)", [bytes([n] * 16) for n in (1, 39, 92, 255)]),
        ("DECIMAL(30, 1)", [Decimal(f"9007199254740993000{n}.5") for n in range(4)]),
        ("VARCHAR(20)", ["a", "B", "it's", "é"]),
    ],
)
def test_ids_of_any_type_tell_where_a_page_ended(
    shop: Connection[Any],
    blank_database: Database,
    database: Database,
    settings: Settings,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    ids: list[Any],
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 1)
    arrived = clock(shop) - timedelta(minutes=10)
    with shop.cursor() as cursor:
        cursor.execute(f"ALTER TABLE sales MODIFY sale {column}")
        cursor.executemany(
            "INSERT INTO sales VALUES (%s, 'orders', %s, %s)", [(sale, arrived, arrived) for sale in ids]
        )
    shop.commit()
    outcome = collect(database, [source(blank_database)], settings, arrived + timedelta(minutes=10))
    assert (outcome.ingested, outcome.duplicates, outcome.malformed) == (4, 0, 0)
    expected = {sale.hex() if isinstance(sale, bytes) else str(sale) for sale in ids}
    assert {event_id for (event_id,) in rows("SELECT event_id FROM events")} == expected


def test_an_id_that_no_position_holds_is_refused_with_the_way_out(
    shop: Connection[Any], blank_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "EVENTS_PER_BATCH", 1)
    now = clock(shop)
    sell(shop, (1, "orders", now, now))
    shop.commit()
    with pytest.raises(DataError, match=r"source shop cannot go on behind the sold_at .*numbers, text or"):
        source(blank_database, id_column="sold_at").take(None, now)


def test_a_table_of_one_series_needs_no_column_for_it(
    shop: Connection[Any], blank_database: Database
) -> None:
    now = clock(shop)
    sell(shop, (1, None, now, now))
    shop.commit()
    batch = source(blank_database, series_column=None, series="sales").take(None, now)
    assert batch.events.names == ("sales",)


@pytest.mark.parametrize("wrong", [{"table": "blank.nothing"}, {"time_column": "no_such_column"}])
def test_a_table_that_is_not_as_described_is_named(
    shop: Connection[Any], blank_database: Database, wrong: dict[str, str]
) -> None:
    with pytest.raises(
        DatabaseError, match=r"source shop cannot read the table .*correct its table and columns"
    ):
        source(blank_database, **wrong).take(None, NOW)


def test_rows_that_are_no_events_are_counted_and_passed_over(
    shop: Connection[Any], blank_database: Database
) -> None:
    now = clock(shop)
    sell(
        shop,
        (1, "orders", None, now),
        (2, "two words", now, now),
        (3, None, now, now),
        (4, "orders", now, now),
    )
    shop.commit()
    batch = source(blank_database).take(None, now)
    assert batch.malformed == 3
    assert [event_id for _, _, event_id in batch.events.rows()] == ["4"]


def test_a_table_of_one_series_that_another_source_has_is_refused_and_its_rows_wait(
    shop: Connection[Any], database: Database, settings: Settings, rows: Rows
) -> None:
    now = clock(shop)
    sell(shop, (1, "till", now, now), (2, "orders", now, now))
    shop.commit()
    tills = source(database, name="tills")
    collect(database, [tills], settings, now)
    changes = {"name": "other", "series": "orders", "series_column": None}
    with pytest.raises(DataError, match="orders comes from the source tills, and now from other too"):
        collect(database, [tills, source(database, **changes)], settings, now)
    assert rows("SELECT source FROM sources") == [("tills",)]

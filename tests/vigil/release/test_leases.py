from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from pymysql.connections import Connection

from vigil.database import Database, connected
from vigil.release.leases import LeaseLostError, give_back_lease, holder_of, renew_lease, take_lease

AT_ONCE = timedelta(0)


def test_a_lease_has_one_holder_and_the_other_is_told_who(connection: Connection[Any]) -> None:
    assert take_lease(connection, "counts", "first").holder == "first"
    assert take_lease(connection, "counts", "second").holder == "first"
    assert take_lease(connection, "others", "second").holder == "second"
    assert holder_of(connection, "counts") == "first"


def test_a_retry_takes_its_own_lease_again_and_prolongs_it(connection: Connection[Any]) -> None:
    before = take_lease(connection, "counts", "first", timedelta(minutes=1))
    after = take_lease(connection, "counts", "first", timedelta(minutes=5))
    assert after.holder == "first"
    assert after.expires_at > before.expires_at + timedelta(minutes=3)


def test_a_refused_attempt_does_not_prolong_the_lease(connection: Connection[Any]) -> None:
    before = take_lease(connection, "counts", "first", timedelta(minutes=1))
    assert take_lease(connection, "counts", "second", timedelta(minutes=5)) == before


def test_a_lease_that_ran_out_is_free(connection: Connection[Any]) -> None:
    take_lease(connection, "counts", "first", AT_ONCE)
    assert holder_of(connection, "counts") is None
    assert take_lease(connection, "counts", "second").holder == "second"


def test_a_lease_given_back_is_free(connection: Connection[Any]) -> None:
    take_lease(connection, "counts", "first")
    give_back_lease(connection, "counts", "first")
    assert holder_of(connection, "counts") is None


def test_nobody_gives_back_the_lease_of_another(connection: Connection[Any]) -> None:
    take_lease(connection, "counts", "first")
    give_back_lease(connection, "counts", "second")
    assert holder_of(connection, "counts") == "first"


def test_renewing_keeps_it(connection: Connection[Any]) -> None:
    take_lease(connection, "counts", "first", timedelta(minutes=1))
    renew_lease(connection, "counts", "first", timedelta(hours=1))
    assert take_lease(connection, "counts", "second").holder == "first"


def test_a_lease_that_ran_out_cannot_be_renewed(connection: Connection[Any]) -> None:
    take_lease(connection, "counts", "first", AT_ONCE)
    with pytest.raises(
        LeaseLostError, match="first no longer holds the release lease of the endpoint counts"
    ):
        renew_lease(connection, "counts", "first")
    take_lease(connection, "counts", "second")
    with pytest.raises(LeaseLostError):
        renew_lease(connection, "counts", "first")


def test_of_many_who_try_at_once_one_gets_it(database: Database) -> None:
    starting = threading.Barrier(8)
    holders = []

    def attempt(holder: str) -> None:
        with connected(database) as own:
            starting.wait()
            holders.append(take_lease(own, "counts", holder).holder)

    threads = [threading.Thread(target=attempt, args=(f"run {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holders) == 8
    assert len(set(holders)) == 1

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pymysql.connections import Connection

from vigil.training.triggers.ledger import MOST_ATTEMPTS, Outcome, Subject, claim, known, settle

NOW = datetime(2026, 11, 2, 4)
FILE = Subject("m", "file", "sha", "s3://b/incoming/m/a.csv", "v1", 12)


def nobody(_: str) -> bool:
    return False


def everybody(_: str) -> bool:
    return True


def test_a_run_can_claim_again_what_it_has(connection: Connection[Any]) -> None:
    for _ in range(2):
        assert claim(connection, FILE, "one", everybody, NOW).outcome is Outcome.MINE
    assert [row.identity for row in known(connection, "m", "file", "one")] == ["sha"]


def test_another_run_waits_while_the_holder_goes_on_and_takes_over_when_it_has_ended(
    connection: Connection[Any],
) -> None:
    claim(connection, FILE, "one", nobody, NOW)
    assert claim(connection, FILE, "two", everybody, NOW).outcome is Outcome.HELD
    assert claim(connection, FILE, "two", nobody, NOW).outcome is Outcome.MINE
    assert known(connection, "m", "file", "one") == []
    # The first run, cleared by a person, settles nothing that is no longer its own.
    settle(connection, FILE, "one", NOW)
    assert not known(connection, "m", "file", "two")[0].trained


def test_what_several_runs_failed_with_is_given_up(connection: Connection[Any]) -> None:
    for run in range(MOST_ATTEMPTS):
        assert claim(connection, FILE, str(run), nobody, NOW).outcome is Outcome.MINE
    for _ in range(2):
        assert claim(connection, FILE, "last", nobody, NOW).outcome is Outcome.GIVEN_UP


def test_a_second_copy_of_the_same_bytes_is_a_duplicate_in_the_same_run_and_after_it(
    connection: Connection[Any],
) -> None:
    copy = Subject("m", "file", "sha", "s3://b/incoming/m/copy.csv")
    claim(connection, FILE, "one", nobody, NOW)
    again = claim(connection, copy, "one", nobody, NOW)
    assert (again.outcome, again.first_source) == (Outcome.DUPLICATE, FILE.source)
    settle(connection, Subject("m", "file", "sha", "s3://b/accepted/a.csv"), "one", NOW)
    assert claim(connection, copy, "two", nobody, NOW).outcome is Outcome.DUPLICATE
    assert claim(connection, Subject("other", "file", "sha", "x"), "two", nobody, NOW).outcome is Outcome.MINE


def test_a_model_knows_what_it_was_trained_on_and_what_the_run_adds_oldest_first(
    connection: Connection[Any],
) -> None:
    for place, identity in enumerate("cba"):
        subject = Subject("m", "file", identity, f"s3://b/{identity}", rows=place)
        claim(connection, subject, "one", nobody, NOW + timedelta(seconds=place))
        settle(connection, subject, "one", NOW)
    claim(connection, FILE, "two", nobody, NOW + timedelta(seconds=9))
    found = known(connection, "m", "file", "two")
    assert [(row.identity, row.trained) for row in found] == [
        ("c", True), ("b", True), ("a", True), ("sha", False),
    ]  # fmt: skip
    assert found[-1].version_id == "v1"
    assert found[-1].rows == 12
    assert [row.identity for row in known(connection, "m", "file", "three")] == ["c", "b", "a"]

from __future__ import annotations

from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.release.releasing import Registry, bring_up
from vigil.database import in_transaction
from vigil.errors import DataError
from vigil.release.deployment import Deployment, promote
from vigil.release.registry import decide, registered_model
from vigil.release.rollback import choose_version, mark_rolled_back
from vigil.released_models import champion, newer_champion, released_models


class Serving:
    """Releases versions, and goes back."""

    def __init__(self, registry: Registry, connection: Connection[Any], sagemaker: Any) -> None:
        self.registry = registry
        self.connection = connection
        self.sagemaker = sagemaker
        self.planned: dict[int, Deployment] = {}

    def release(self, number: int) -> None:
        if number not in self.planned:
            self.planned[number] = self.registry.plan(number)
        deployment = self.planned[number]
        bring_up(self.connection, self.sagemaker, deployment)
        promote(self.connection, deployment)

    def choose(self, number: int | None = None) -> str:
        chosen = choose_version(self.connection, self.sagemaker, self.registry.name, number)
        return chosen.model_version.rpartition("/")[2]

    def arn(self, number: int) -> str:
        released = in_transaction(self.connection, lambda cursor: released_models(cursor, self.registry.name))
        return next(v.model_package_arn for v in released if v.variant == f"v{number}")

    def roll_back(self) -> str:
        """Go back to the version that is chosen, and leave the other as the DAG does."""
        number = self.choose()
        left = in_transaction(self.connection, lambda cursor: champion(cursor, self.registry.name))
        assert left is not None
        self.release(int(number))
        mark_rolled_back(self.sagemaker, left, f"{self.registry.name}/{number}", "too many alerts")
        return number


@pytest.fixture
def serving(registry: Registry, connection: Connection[Any], sagemaker: Any) -> Serving:
    return Serving(registry, connection, sagemaker)


def test_the_version_before_comes_back_and_a_second_time_the_one_before_that(serving: Serving) -> None:
    for number in (1, 2, 3):
        serving.release(number)
    assert serving.roll_back() == "2"
    assert serving.roll_back() == "1"
    with pytest.raises(DataError, match="no earlier approved version"):
        serving.choose()
    statuses = in_transaction(
        serving.connection,
        lambda cursor: {v.variant: v.status for v in released_models(cursor, serving.registry.name)},
    )
    assert statuses == {"v1": "champion", "v2": "retired", "v3": "retired"}


def test_the_version_that_was_left_says_why(serving: Serving) -> None:
    for number in (1, 2):
        serving.release(number)
    serving.roll_back()
    left = registered_model(serving.sagemaker, serving.arn(2))
    assert left.approval == "Rejected"
    assert left.reason == f"Rolled back to {serving.registry.name}/1: too many alerts"


def test_a_rejected_version_does_not_come_back_by_itself_nor_by_name(serving: Serving) -> None:
    for number in (1, 2, 3):
        serving.release(number)
    arn = serving.arn(2)
    decide(serving.sagemaker, arn, approved=False, reasons=["It was wrong about Sundays."])
    assert serving.choose() == "1"
    with pytest.raises(DataError, match=r"is Rejected \(It was wrong about Sundays.\): approve it"):
        serving.choose(2)


@pytest.mark.parametrize(("number", "message"), [(2, "serves already"), (7, "was never released; released")])
def test_a_choice_that_makes_no_sense_is_refused(serving: Serving, number: int, message: str) -> None:
    for released in (1, 2):
        serving.release(released)
    with pytest.raises(DataError, match=message):
        serving.choose(number)
    assert serving.choose(1) == "1"


def test_after_a_roll_back_what_counts_is_the_age_of_what_serves(serving: Serving) -> None:
    for number in (1, 2):
        serving.release(number)
    due = {
        v.variant: v.due_at
        for v in in_transaction(
            serving.connection, lambda cursor: released_models(cursor, serving.registry.name)
        )
    }

    def newer_than(variant: str) -> bool:
        find = lambda cursor: newer_champion(cursor, serving.registry.name, due[variant])  # noqa: E731
        return in_transaction(serving.connection, find) is not None

    assert newer_than("v1")
    assert not newer_than("v2")
    serving.roll_back()
    assert not newer_than("v1")


def test_after_going_back_past_a_version_the_next_roll_back_does_not_go_forward_to_it(
    serving: Serving,
) -> None:
    for number in (1, 2, 3):
        serving.release(number)
    serving.release(int(serving.choose(1)))
    with pytest.raises(DataError, match="no earlier approved version"):
        serving.choose()
    assert serving.choose(2) == "2", "a person may still choose it"


def test_a_run_that_is_cleared_after_a_roll_back_does_not_approve_its_version_again(serving: Serving) -> None:
    for number in (1, 2):
        serving.release(number)
    serving.roll_back()
    assert serving.registry.approve(2).approval == "Rejected"
    decide(serving.sagemaker, serving.arn(2), approved=True, reasons=["Ann is sure."])
    assert serving.registry.approve(2).approval == "Approved"

from __future__ import annotations

import pytest

from vigil.errors import CloudError, VigilError
from vigil.steps import Steps


def test_where_nothing_failed_there_is_nothing_to_tell() -> None:
    steps = Steps()
    with steps.step("Counting"):
        pass
    steps.tell()


def test_one_failure_is_told_as_it_was() -> None:
    steps, failure = Steps(), CloudError("the queue is gone")
    for _ in range(2):
        with steps.step("Taking"):
            raise failure
    with pytest.raises(CloudError, match=r"^the queue is gone$"):
        steps.tell()


def test_several_failures_are_told_together_and_unforeseen_ones_name_their_step() -> None:
    steps = Steps()
    with steps.step("Taking"):
        raise CloudError("The queue is gone.")
    with steps.step("Counting"):
        raise KeyError("orders")
    with pytest.raises(VigilError, match=r"^The queue is gone\. Counting failed \(KeyError: 'orders'\)"):
        steps.tell()


def test_what_ends_the_task_is_no_failure_of_a_step() -> None:
    with pytest.raises(KeyboardInterrupt), Steps().step("Counting"):
        raise KeyboardInterrupt

"""The scheduler's clock: waits for the next due moment of any schedule and fires what is due.

What was taken up, and what of it has not ended, is remembered on the schedule itself and so outlives a
restart: what was due while the server was down fires at the next start, what was interrupted fires again,
and what has ended does not.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from moto.scheduler.models import Schedule, ScheduleGroup, scheduler_backends

from local_aws.clients import Clients
from local_aws.scheduler.delivery import Delivery, Firing
from local_aws.scheduler.expressions import ExpressionError, Timetable, timetable

# A wait goes by another clock than schedules do: the machine may sleep meanwhile, or its time be set.
_LONGEST_WAIT_S = 30
_CLOSE_LIMIT_S = 5
_MEMORY = "_local_aws_memory"
log = logging.getLogger(__name__)


@dataclass
class Memory:
    """What was done for a schedule so far: its last moment taken up, and those that have not ended."""

    begun: float | None = None
    unfinished: set[float] = field(default_factory=set)


class Scheduler:
    """Fires the schedules of every account and region, each firing in a thread of its own.

    Args:
        url: of this server, which the targets are called at.
        change: holds a save of the state back while it is entered.
    """

    def __init__(self, url: str, change: Callable[[], AbstractContextManager[None]]) -> None:
        self._change = change
        self._closing = threading.Event()
        # A target is called again by the schedule's own policy.
        self._delivery = Delivery(Clients(url, attempts=1), self._closing)
        self._state = threading.Condition()
        self._woken = False
        self._firings: set[threading.Thread] = set()
        self._clock = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Take up what was interrupted, and begin to fire."""
        for group, schedule in _schedules():
            for due in sorted(_memory(schedule).unfinished):
                self._fire(group, schedule, due)
        self._clock.start()

    def wake(self) -> None:
        """Look at the schedules anew: one may have been made, changed or removed."""
        with self._state:
            self._woken = True
            self._state.notify_all()

    def close(self) -> None:
        """Fire no more; what is under way has a moment to end, or is taken up at the next start."""
        self._closing.set()
        self.wake()
        self._clock.join()
        deadline = time.monotonic() + _CLOSE_LIMIT_S
        for firing in list(self._firings):
            firing.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._closing.is_set():
            following = self._fire_due()
            with self._state:
                wait_s = _LONGEST_WAIT_S if following is None else following - time.time()
                self._state.wait_for(lambda: self._woken, max(0.0, min(wait_s, _LONGEST_WAIT_S)))
                self._woken = False

    def _fire_due(self) -> float | None:
        """Fire what is due, and tell when something is due next."""
        now, following = time.time(), []
        for group, schedule in _schedules():
            times = _timetable(schedule)
            if times is None:
                continue
            due = times.latest(now)
            if due is not None and due != _memory(schedule).begun:
                with self._change():
                    memory = _memory(schedule)
                    memory.begun = due
                    memory.unfinished.add(due)
                self._fire(group, schedule, due)
            following.append(times.following(now))
        return min((moment for moment in following if moment is not None), default=None)

    def _fire(self, group: ScheduleGroup, schedule: Schedule, due: float) -> None:
        firing = Firing(schedule.arn, group.arn, copy.deepcopy(schedule.target), due)
        thread = threading.Thread(
            target=self._carry_out,
            args=(group, schedule, firing),
            name=f"firing of {schedule.name}",
            daemon=True,
        )
        self._firings.add(thread)
        thread.start()

    def _carry_out(self, group: ScheduleGroup, schedule: Schedule, firing: Firing) -> None:
        try:
            log.info("%s fires for %s", firing.schedule_arn, firing.due_text)
            if self._delivery.carry_out(firing):
                self._finish(group, schedule, firing.due)
        finally:
            self._firings.discard(threading.current_thread())

    def _finish(self, group: ScheduleGroup, schedule: Schedule, due: float) -> None:
        with self._change():
            memory = _memory(schedule)
            memory.unfinished.discard(due)
            times = _timetable(schedule)
            is_over = due == memory.begun and times is not None and times.following(time.time()) is None
            if is_over and schedule.action_after_completion == "DELETE":
                group.schedules.pop(schedule.name, None)


def _schedules() -> Iterator[tuple[ScheduleGroup, Schedule]]:
    for regions in list(scheduler_backends.values()):
        for backend in list(regions.values()):
            for group in list(backend.schedule_groups.values()):
                for schedule in list(group.schedules.values()):
                    yield group, schedule


def _memory(schedule: Schedule) -> Memory:
    memory = vars(schedule).get(_MEMORY)
    if memory is None:
        memory = Memory()
        setattr(schedule, _MEMORY, memory)
    return memory


def _timetable(schedule: Any) -> Timetable | None:
    """Tell when an enabled schedule is due."""
    if schedule.state != "ENABLED":
        return None
    try:
        return timetable(
            schedule.schedule_expression,
            schedule.schedule_expression_timezone,
            schedule.last_modified_date,
            schedule.start_date,
            schedule.end_date,
        )
    except ExpressionError as error:  # of a state kept by an earlier version, which took any expression
        log.warning("%s never fires: %s", schedule.arn, error)
        return None

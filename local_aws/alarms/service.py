"""The alarms' clock: evaluates all of them every minute and tells of changes, one after the other.

A change of state and what is to be told of it are kept together, so that a restart forgets neither; what was
interrupted while it was told is told again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from botocore.exceptions import BotoCoreError, ClientError
from moto.cloudwatch.models import Alarm, CloudWatchBackend, cloudwatch_backends

from local_aws.alarms.evaluation import MINUTE_S, evaluate
from local_aws.alarms.kept import metric_of, rule_of, samples_since
from local_aws.alarms.notices import Notice, untold
from local_aws.alarms.queues import tell_of_queues
from local_aws.clients import Clients

log = logging.getLogger(__name__)


class Alarms:
    """Evaluates the alarms of every account and region in one thread.

    Args:
        clients: of this server, which topics are reached by.
        change: holds a save of the state back while it is entered.
    """

    def __init__(self, clients: Clients, change: Callable[[], AbstractContextManager[None]]) -> None:
        self._clients = clients
        self._change = change
        self._state = threading.Condition()
        self._evaluate_at = 0.0
        self._woken = False
        self._closing = False
        self._clock = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        """Begin to evaluate."""
        self._clock.start()

    def wake(self, evaluate_now: bool) -> None:
        """Tell what is to be told; evaluate before if points or alarms may have changed."""
        with self._state:
            if evaluate_now:
                self._evaluate_at = 0.0
            self._woken = True
            self._state.notify_all()

    def close(self) -> None:
        """Evaluate no more; what was not told is told after the next start."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._clock.join()

    def _run(self) -> None:
        while not self._closing:
            if self._is_due():
                self._evaluate_all()
            for alarm in _alarms():
                self._tell(alarm)
            with self._state:
                wait_s = max(0.0, self._evaluate_at - time.time())
                self._state.wait_for(lambda: self._woken or self._closing, min(wait_s, MINUTE_S))
                self._woken = False

    def _is_due(self) -> bool:
        now = time.time()
        with self._state:
            is_due = now >= self._evaluate_at
            if is_due:
                self._evaluate_at = (now // MINUTE_S + 1) * MINUTE_S
        return is_due

    def _evaluate_all(self) -> None:
        for backend in _backends():
            try:
                self._evaluate(backend, time.time())
            except Exception:  # one account's trouble is no other's
                log.exception(
                    "The alarms of %s in %s were not evaluated", backend.account_id, backend.region_name
                )

    def _evaluate(self, backend: CloudWatchBackend, now: float) -> None:
        rules = [(alarm, rule) for alarm in list(backend.alarms.values()) if (rule := rule_of(alarm))]
        if not rules:
            return
        with self._change():
            tell_of_queues(backend, [alarm for alarm, _ in rules], now)
        known = samples_since(backend, now - MINUTE_S - max(rule.range_s for _, rule in rules))
        for alarm, rule in rules:
            samples = [
                sample for unit, sample in known.get(metric_of(alarm), []) if alarm.unit in (None, unit)
            ]
            before = alarm.state_value
            found = evaluate(rule, samples, now, before)
            if found.state != before:
                with self._change():
                    # A request may have set its state or replaced it meanwhile, and is not to be undone.
                    if backend.alarms.get(alarm.name) is alarm and alarm.state_value == before:
                        log.info("%s is %s: %s", alarm.name, found.state, found.reason)
                        alarm.update_state(found.reason, found.data, found.state)

    def _tell(self, alarm: Alarm) -> None:
        notices = untold(alarm)
        while notices and not self._closing:
            for topic in notices[0].topics:
                self._publish(alarm, topic, notices[0])
            with self._change():
                notices.pop(0)

    def _publish(self, alarm: Alarm, topic: str, notice: Notice) -> None:
        sns = self._clients.get("sns", topic.split(":")[3])
        try:
            sns.publish(TopicArn=topic, Subject=notice.subject, Message=notice.message)
        except (BotoCoreError, ClientError) as error:  # as in the cloud, the alarm stays what it is
            log.warning("%s could not be told that %s is %s: %s", topic, alarm.name, alarm.state_value, error)


def _backends() -> Iterator[CloudWatchBackend]:
    for regions in list(cloudwatch_backends.values()):
        yield from list(regions.values())


def _alarms() -> Iterator[Alarm]:
    for backend in _backends():
        yield from list(backend.alarms.values())

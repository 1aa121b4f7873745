"""The undertakings of environments: each is begun by a call, goes on by itself, and ends in a status."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from local_aws.clients import Clients
from local_aws.mwaa.airflow_processes import AirflowDownError, free_port
from local_aws.mwaa.code_bucket import MissingObjectError
from local_aws.mwaa.environment import Environment
from local_aws.mwaa.image import StartupError
from local_aws.reaper import Reaper
from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.store import Record, Store

_BROKEN = (MissingObjectError, AirflowDownError, StartupError, ValueError, OSError)
log = logging.getLogger(__name__)


class Environments:
    """Brings environments to what their records say.

    Args:
        store: of the records, by ARN.
        clients: of the embedded AWS.
        directory: what environments keep on this machine, a folder each.
    """

    def __init__(self, store: Store, clients: Clients, directory: Path) -> None:
        self._store = store
        self._clients = clients
        self._directory = directory
        self._lock = threading.Lock()
        self._running: dict[str, Environment] = {}
        self._reaper: Reaper | None = None
        self._closed = False

    def create(self, arn: str) -> None:
        """Begin to bring up a new environment."""
        self._begin(self._finish_creation, arn)

    def update(self, arn: str, before: Record) -> None:
        """Begin to bring an environment to its new record.

        Args:
            arn: of it.
            before: its record until now, to which it returns if that does not work.
        """
        self._begin(lambda arn: self._finish_update(arn, before), arn)

    def delete(self, arn: str) -> None:
        """Begin to remove an environment."""
        self._begin(self._finish_deletion, arn)

    def resume(self) -> None:
        """Bring up again what there was when the server ended."""
        for record in self._store.under("arn:"):
            match record["Status"]:
                case "CREATE_FAILED":
                    pass
                case "CREATING":
                    self._begin(self._finish_creation, record["Arn"])
                case "DELETING":
                    self._begin(self._finish_deletion, record["Arn"])
                case _:
                    self._store.change(record["Arn"], Status="MAINTENANCE")
                    self._begin(self._finish_maintenance, record["Arn"])

    def close(self) -> None:
        """End every environment's processes; their records stay."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        stopping = [threading.Thread(target=environment.stop) for environment in running]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        if self._reaper:
            self._reaper.close()

    def _finish_creation(self, arn: str) -> None:
        try:
            self._bring_up(arn)
        except _BROKEN as error:
            self._settle(arn, "CREATE_FAILED", error)
        else:
            self._settle(arn, "AVAILABLE")

    def _finish_update(self, arn: str, before: Record) -> None:
        """Restart with what was asked for, or stay with what there was, as the cloud does."""
        try:
            self._bring_up(arn)
        except _BROKEN as error:
            log.warning("%s stays as it was: %s", arn, error)
            if not self._closed:
                self._give_back(arn, before)
                self._settle(arn, "UPDATE_FAILED" if arn in self._running else "UNAVAILABLE", error)
        else:
            self._settle(arn, "AVAILABLE")

    def _give_back(self, arn: str, before: Record) -> None:
        last = self._store.get(arn, missing(arn))["LastUpdate"]
        kept = {**before, "Status": "ROLLING_BACK", "LastUpdate": last}

        def edit(record: Record) -> None:
            record.clear()
            record.update(kept)

        self._store.rewrite(arn, edit)
        if arn not in self._running:
            try:
                self._bring_up(arn)
            except _BROKEN:
                log.exception("%s did not come up as it was before", arn)

    def _finish_maintenance(self, arn: str) -> None:
        self._has_moved(arn)
        try:
            self._bring_up(arn)
        except _BROKEN as error:
            self._settle(arn, "UNAVAILABLE", error)
        else:
            self._settle(arn, "AVAILABLE")

    def _finish_deletion(self, arn: str) -> None:
        self._take_down(arn)
        shutil.rmtree(self._folder(arn), ignore_errors=True)
        self._store.remove(arn, missing(arn))

    def _bring_up(self, arn: str) -> None:
        """Start what a record describes, in place of what runs; that goes on if S3 lacks something."""
        record = self._store.get(arn, missing(arn))
        with self._lock:
            self._reaper = self._reaper or Reaper()
        environment = Environment(record, arn.split(":")[3], self._folder(arn), self._clients, self._reaper)
        code = environment.read_code()
        self._take_down(arn)
        with self._lock:
            if self._closed:
                raise AirflowDownError("The embedded AWS ends")
            self._running[arn] = environment
        try:
            environment.start(code)
        except _BROKEN:
            self._take_down(arn)
            if not self._has_moved(arn):
                raise
            self._bring_up(arn)

    def _has_moved(self, arn: str) -> bool:
        """Give an environment that does not run another port if somebody took its own; tell whether."""
        port = int(self._store.get(arn, missing(arn))["WebserverUrl"].rpartition(":")[2])
        free = free_port(port)
        self._store.change(arn, WebserverUrl=f"localhost:{free}")
        return free != port

    def _take_down(self, arn: str) -> None:
        with self._lock:
            environment = self._running.pop(arn, None)
        if environment:
            environment.stop()

    def _settle(self, arn: str, status: str, error: Exception | None = None) -> None:
        """Enter how an undertaking ended; one that this server's own end cut short goes on with the next."""
        if self._closed:
            return
        failure = {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": str(error)} if error else None

        def edit(record: Record) -> None:
            last = record.get("LastUpdate", {"CreatedAt": time.time()})
            outcome = {"Status": "FAILED", "Error": failure} if failure else {"Status": "SUCCESS"}
            record.update(Status=status, LastUpdate={**last, **outcome})

        self._store.rewrite(arn, edit)

    def _begin(self, work: Callable[[str], None], arn: str) -> None:
        threading.Thread(target=work, args=(arn,), name=f"mwaa {arn}", daemon=True).start()

    def _folder(self, arn: str) -> Path:
        return self._directory / arn.split(":")[3] / arn.rpartition("/")[2]


def missing(what: str) -> AwsError:
    """Say that there is no such environment."""
    return AwsError("ResourceNotFoundException", f"There is no environment {what}", 404)

"""Runs of DAGs in the environment, by Amazon MWAA's own API: no login, no way into the network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.errors import DeployError

_POLL_S = 5.0
# Airflow looks for new files every five minutes.
_DAG_LIMIT_S = 900
_RUN_LIMIT_S = 3600
_NOT_FOUND = 404
_CONFLICT = 409
_SERVER_ERROR = 500


@dataclass(frozen=True)
class AirflowRuns:
    """Starts runs in one environment.

    Attributes:
        mwaa: client.
        environment: name of the Amazon MWAA environment.
        poll_s: seconds between two looks.
    """

    mwaa: Any
    environment: str
    poll_s: float = _POLL_S

    def run_to_its_end(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run, unless it was started before, and wait until it has succeeded.

        Raises:
            DeployError: Airflow does not know the DAG, or the run fails or does not end in time.
        """
        path = f"/dags/{dag_id}"
        for _ in self._looks(_DAG_LIMIT_S, f"Airflow to find {dag_id}.py"):
            dag = self._call("GET", path)
            if dag is not None:
                break
        if dag and dag.get("is_paused"):
            raise DeployError(
                f"{dag_id} is switched off in Airflow, so that its run would never begin: switch it on, and "
                "deploy again; nothing after it has been done."
            )
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self._call("POST", f"{path}/dagRuns", body)
        for _ in self._looks(_RUN_LIMIT_S, f"the run {run_id} of {dag_id} to end"):
            run = self._call("GET", f"{path}/dagRuns/{run_id}") or {}
            if run.get("state") == "success":
                return
            if run.get("state") == "failed":
                raise DeployError(
                    f"The run {run_id} of {dag_id} failed: its log in Airflow says why. Mend the cause and "
                    "deploy again; nothing after it has been done."
                )

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Ask Airflow.

        None comes back when what is asked for is not there or nobody can tell just now, and when what is to
        be made was there before.
        """
        request = {"Name": self.environment, "Method": method, "Path": path}
        try:
            answer = self.mwaa.invoke_rest_api(**request, **({"Body": body} if body else {}))
        except ClientError as error:
            status = error.response.get("RestApiStatusCode", 0)
            if method == "GET" and (status == _NOT_FOUND or status >= _SERVER_ERROR):
                return None
            if method == "POST" and status == _CONFLICT:
                return None
            raise DeployError(
                f"Airflow of {self.environment} refuses {method} {path} ({error}): you need the permission "
                "airflow:InvokeRestApi. If you have it, deploy again; or run migrate_database in Airflow "
                "yourself, and deploy with MIGRATED=1."
            ) from error
        return dict(answer["RestApiResponse"])

    def _looks(self, limit_s: float, what: str) -> Iterator[None]:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            yield
            time.sleep(self.poll_s)
        raise DeployError(f"Waited {limit_s / 60:.0f} minutes in vain for {what}: look into Airflow's UI.")

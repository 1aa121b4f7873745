"""Airflow on one machine: its metadata database, and a client of its REST API."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from local_stack.stack import ADMIN, PROJECT, Stack

_HEALTHY_LIMIT_S = 120
_BACKFILL_CREATION_LIMIT_S = 60
_TERMINAL = ("success", "failed")


def prepare_metadata(stack: Stack) -> None:
    """Create or upgrade Airflow's own database, and the login of its UI."""
    home = stack.airflow_home
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({ADMIN: stack.secrets.airflow_password}))
    done = subprocess.run(
        ["airflow", "db", "migrate"],
        cwd=PROJECT,
        env=stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"airflow db migrate failed:\n{done.stdout[-4000:]}")


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG, as the API tells it."""

    dag_id: str
    run_id: str
    state: str
    duration_s: float | None
    due: datetime
    ended: datetime | None

    @classmethod
    def of(cls, answer: dict[str, Any]) -> DagRun:
        """Read the API's answer."""
        return cls(
            answer["dag_id"],
            answer["dag_run_id"],
            answer["state"],
            answer.get("duration"),
            datetime.fromisoformat(answer["run_after"]),
            datetime.fromisoformat(answer["end_date"]) if answer.get("end_date") else None,
        )

    @property
    def due_to_end_s(self) -> float:
        """Return the seconds from when the run was due to when it had ended."""
        if self.ended is None:
            raise ValueError(f"{self.dag_id} {self.run_id} has not ended")
        return (self.ended - self.due).total_seconds()


class AirflowApi:
    """Talks to the REST API of a stack's Airflow.

    Args:
        stack: whose Airflow it is.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._client = httpx.Client(base_url=stack.airflow_url, timeout=30)

    def wait_until_healthy(self) -> None:
        """Wait until API, scheduler, triggerer and DAG processor all report to be healthy.

        Raises:
            TimeoutError: one of them does not; the message names it.
        """
        deadline = time.monotonic() + _HEALTHY_LIMIT_S
        while time.monotonic() < deadline:
            sick = self._unhealthy_parts()
            if not sick:
                return
            time.sleep(0.3)
        raise TimeoutError(f"Airflow is not healthy ({', '.join(sick)}): see {self._stack.logs}")

    def _unhealthy_parts(self) -> list[str]:
        try:
            health = self._client.get("/api/v2/monitor/health").json()
        except (httpx.HTTPError, ValueError):
            return ["api-server"]
        return [part for part, state in health.items() if state.get("status") != "healthy"]

    def log_in(self) -> None:
        """Get a token and use it from now on."""
        answer = self._client.post(
            "/auth/token", json={"username": ADMIN, "password": self._stack.secrets.airflow_password}
        )
        answer.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def dag_ids(self) -> set[str]:
        """Return the DAGs that are known so far."""
        return {dag["dag_id"] for dag in self._get("/api/v2/dags", limit=200)["dags"]}

    def import_errors(self) -> list[str]:
        """Return what kept a DAG file from being read."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self._request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Let a DAG run no more; what runs goes on."""
        self._request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": True})

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> DagRun:
        """Start a run by hand."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        return DagRun.of(self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body))

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer a task that asks a person."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self._request("PATCH", path, json={"chosen_options": [option], "params_input": {}})

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return what a task asks a person."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        return dict(self._get(path))

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """Return one run."""
        return DagRun.of(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str) -> list[DagRun]:
        """Return every run of a DAG, oldest first."""
        answer = self._get(f"/api/v2/dags/{dag_id}/dagRuns", limit=500, order_by="id")
        return [DagRun.of(run) for run in answer["dag_runs"]]

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return each task's state in a run."""
        answer = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=200)
        return {task["task_id"]: str(task["state"]) for task in answer["task_instances"]}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._get(path, deserialize="true")["value"]

    def backfill(self, dag_id: str, since: datetime, until: datetime, at_once: int = 1) -> int:
        """Start a backfill of every interval between two times, the last one included; return its id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{since.isoformat()}Z",
            "to_date": f"{until.isoformat()}Z",
            "max_active_runs": at_once,
            "reprocess_behavior": "none",
        }
        # On SQLite Airflow gives up when its own scheduler writes at that moment, takes back what it began,
        # and answers 503 so that one tries again.
        for _ in every(0.2, _BACKFILL_CREATION_LIMIT_S, f"Airflow to take the backfill of {dag_id}"):
            answer = self._client.post("/api/v2/backfills", json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        return int(_content(answer)["id"])

    def follow(
        self,
        dag_id: str,
        run_id: str,
        limit_s: float,
        tell: Callable[[dict[str, str]], None],
        pause_s: float = 0.4,
    ) -> DagRun:
        """Wait until a run ends, telling its tasks' states as they change.

        Args:
            dag_id: of the run.
            run_id: of the run.
            limit_s: most seconds to wait.
            tell: gets each task's state whenever one has changed.
            pause_s: seconds between two looks.

        Raises:
            TimeoutError: it does not end within the limit.
        """
        told: dict[str, str] = {}
        for _ in every(pause_s, limit_s, f"{dag_id} {run_id} to end"):
            run = self.run(dag_id, run_id)
            states = self.task_states(dag_id, run_id)
            if states != told:
                tell(states)
                told = states
            if run.state in _TERMINAL:
                return run
        raise AssertionError("every() ends by an error")

    def _get(self, path: str, **parameters: Any) -> Any:
        return self._request("GET", path, params=parameters)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        return _content(self._client.request(method, path, **options))


def _content(answer: httpx.Response) -> Any:
    if answer.is_error:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise RuntimeError(f"Airflow refused {asked}: {answer.status_code} {answer.text[:2000]}")
    return answer.json()


def every(pause_s: float, limit_s: float, what: str) -> Iterator[None]:
    """Yield again and again, with a pause in between, until the caller stops or the limit passes.

    Raises:
        TimeoutError: the limit passed; the message names what was waited for.
    """
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        yield
        time.sleep(pause_s)
    raise TimeoutError(f"Waited {limit_s:.0f} s in vain for {what}.")

"""Drops files for a tabular model as a person would, and finds the run that trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_stack.airflow import AirflowApi, every

NEW_DATA = "retrain_on_new_data"
_ENDED = ("success", "failed")


class DropBox:
    """The place under `incoming/` where a model's files are dropped.

    Args:
        api: of the Airflow whose DAG looks there.
        s3: client.
        bucket: of the pipeline.
    """

    def __init__(self, api: AirflowApi, s3: Any, bucket: str) -> None:
        self._api = api
        self._s3 = s3
        self._bucket = bucket
        self._found: set[str] = set()

    def drop(self, model: str, files: Mapping[str, bytes]) -> None:
        """Drop files, given by name, for a model."""
        for name, content in files.items():
            self._s3.put_object(Bucket=self._bucket, Key=f"incoming/{model}/{name}", Body=content)

    def run_that_claims(self, model: str, limit_s: float) -> str:
        """Wait for the run that claims a model's files, and return its name.

        A run may wait for files already; if none does, one is triggered.

        Raises:
            TimeoutError: no run has claimed them within the limit.
            RuntimeError: a run could not.
        """
        for _ in every(0.3, limit_s, f"a run to claim what was dropped for {model}"):
            runs = self._api.runs(NEW_DATA)
            if all(run.state in _ENDED for run in runs):
                self._api.trigger(NEW_DATA, f"dropped-{len(runs)}")
            for run in runs:
                if run.run_id in self._found:
                    continue
                state = self._api.task_states(NEW_DATA, run.run_id).get("claim_new_files")
                if state == "failed":
                    raise RuntimeError(
                        f"{NEW_DATA} {run.run_id} could not claim what was dropped for {model}"
                    )
                if state == "success":
                    self._found.add(run.run_id)
                    request = self._api.xcom(NEW_DATA, run.run_id, "claim_new_files")
                    if request["model"] == model:
                        return run.run_id
        raise AssertionError("every() ends by an error")

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix."""
        answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    def read(self, key: str) -> str:
        """Return the text of an object."""
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body.decode()


def contents(*files: Path) -> dict[str, bytes]:
    """Return the contents of files by name."""
    return {file.name: file.read_bytes() for file in files}

"""The demo's training stack: a script on an instance learns until it has cost what was allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_stack.airflow import AirflowApi, DagRun
from local_stack.demo.tabular_sample import write_tabular_files
from vigil.aws import Aws, S3Location
from vigil.stacks.inventory import find_stack, living_instances

LAUNCH, SWEEP = "launch_training_stack", "sweep_training_stacks"
_CONFIG = "example"
# The example lasts an hour for its five cents; a dearer machine lasts two minutes for two.
_OPTIONS = {
    "instance-type": "g4dn.xlarge",
    "cost-limit": 0.02,
    "grace-seconds": 20,
    "upload-every-seconds": 10,
}
_DATA = "examples/breast-cancer.csv"
_RUN_LIMIT_S = 300


@dataclass(frozen=True)
class StackStory:
    """What became of the training stack.

    Attributes:
        outcome: as the run returned it; empty if the run failed.
        deadline_s: seconds from launch to the deadline.
        price_usd: an hour.
        price_source: where the price comes from.
        accuracy: of the model that is left, on held-out rows.
        epochs: that it learned.
        stack_is_left: whether CloudFormation still has the stack.
        instances_left: that still cost something.
        run: of the DAG.
    """

    outcome: dict[str, Any]
    deadline_s: int
    price_usd: float
    price_source: str
    accuracy: float
    epochs: int
    stack_is_left: bool
    instances_left: int
    run: DagRun

    def to_json(self) -> dict[str, Any]:
        """Return the story as JSON-like content."""
        return {
            **self.outcome,
            "deadline_s": self.deadline_s,
            "price_usd_per_hour": self.price_usd,
            "price_source": self.price_source,
            "accuracy": self.accuracy,
            "epochs": self.epochs,
            "stack_is_left": self.stack_is_left,
            "instances_left": self.instances_left,
        }


def tell_stack_story(
    api: AirflowApi, aws: Aws, bucket: str, folder: Path, tell: Callable[[str], None]
) -> StackStory:
    """Launch the example with a cost limit that it hits, and return what came of it.

    Args:
        api: of the demo's Airflow.
        aws: of the demo.
        bucket: of the pipeline.
        folder: for the data.
        tell: is told what is going on, a line at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (data,) = write_tabular_files(folder)
    aws.client("s3").upload_file(str(data), bucket, _DATA)
    tell(f"a training stack is launched: {_CONFIG}, at most {_OPTIONS['cost-limit']} USD")
    run = api.trigger(LAUNCH, "demo", {"config": _CONFIG, "options": _OPTIONS})
    run = api.follow(LAUNCH, run.run_id, _RUN_LIMIT_S, lambda states: None)
    launch = api.xcom(LAUNCH, run.run_id, "settle_launch")
    outcome = api.xcom(LAUNCH, run.run_id, "launch") if run.state == "success" else {}
    model = _model(aws, outcome)
    name = launch["config"]["training-job-name"]
    story = StackStory(
        outcome=outcome,
        deadline_s=launch["allowance"]["seconds"],
        price_usd=launch["price"]["instance_usd"] + launch["price"]["volume_usd"],
        price_source=launch["price"]["source"],
        accuracy=model.get("accuracy", 0.0),
        epochs=model.get("epochs", 0),
        stack_is_left=find_stack(aws.client("cloudformation"), name) is not None,
        instances_left=len(living_instances(aws.client("ec2"), "local")),
        run=run,
    )
    tell(f"the training stack ended: {outcome.get('text', run.state)}")
    return story


def _model(aws: Aws, outcome: dict[str, Any]) -> dict[str, Any]:
    if not outcome:
        return {}
    place = S3Location.parse(outcome["folder"]) / "output/model.json"
    content: dict[str, Any] = json.load(
        aws.client("s3").get_object(Bucket=place.bucket, Key=place.key)["Body"]
    )
    return content

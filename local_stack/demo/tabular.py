"""The tabular part of the demo: a model trained on dropped files, retrained, and a candidate refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local_stack.airflow import AirflowApi, DagRun
from local_stack.demo.tabular_sample import MODEL, write_tabular_files
from local_stack.dropping import NEW_DATA, DropBox, contents
from vigil.aws import Aws, S3Location
from vigil.predictions import CSV, answers_of, request_body
from vigil.smoke_tests import SmokeTest
from vigil.training.spec.model import load_model_spec

_RUN_LIMIT_S = 300
_FILES = 3
# One tree of one branch: worse than what serves.
_STUMP = {"hyperparameters": {"num_round": 1, "max_depth": 1, "early_stopping_rounds": None}}


@dataclass(frozen=True)
class Version:
    """What became of one candidate."""

    model_version: str
    approval: str
    reason: str
    trained_on_rows: int
    auc: float
    recall: float
    report: str
    smoke_test: str


@dataclass
class TabularStory:
    """What happened to the tabular model.

    Attributes:
        versions: of the model, in order.
        champion: version that the endpoint serves at the end.
        set_aside: why the bad file was not used, as its report says.
        runs: of the DAG.
        answered_right: whether the endpoint said to some rows what its model is known to say.
    """

    versions: list[Version] = field(default_factory=list)
    champion: str = ""
    set_aside: str = ""
    runs: list[DagRun] = field(default_factory=list)
    answered_right: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the story as JSON-like content."""
        return {
            "versions": [asdict(version) for version in self.versions],
            "champion": self.champion,
            "set_aside": self.set_aside,
            "answered_right": self.answered_right,
        }


def tell_tabular_story(
    api: AirflowApi, aws: Aws, bucket: str, folder: Path, tell: Callable[[str], None]
) -> TabularStory:
    """Drop files, let Airflow train and release, and return what came of it.

    Args:
        api: of the demo's Airflow.
        aws: of the demo.
        bucket: of the pipeline.
        folder: for the files.
        tell: is told what is going on, a line at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, second, third = write_tabular_files(folder, _FILES)
    box = DropBox(api, aws.client("s3"), bucket)
    story = TabularStory()

    tell(f"{MODEL}: a CSV is dropped")
    box.drop(MODEL, contents(first))
    _follow(api, aws, box, story, tell)

    tell(f"{MODEL}: another CSV is dropped, and a broken one")
    box.drop(MODEL, {**contents(second), "broken.csv": _broken(third)})
    _follow(api, aws, box, story, tell)
    (report,) = (key for key in box.keys("set-aside/") if key.endswith(".md"))
    story.set_aside = box.read(report)

    tell(f"{MODEL}: a third CSV is dropped, with a manifest that asks for a poor model")
    box.drop(MODEL, {"manifest.json": json.dumps(_STUMP).encode()})
    box.drop(MODEL, contents(third))
    _follow(api, aws, box, story, tell)
    story.champion, story.answered_right = _ask_endpoint(aws, story)
    return story


def _broken(file: Path) -> bytes:
    """Return a file with a word where a number belongs."""
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[7] = ",".join(["wide", *lines[7].split(",")[1:]])
    return "\n".join(lines).encode()


def _follow(
    api: AirflowApi, aws: Aws, box: DropBox, story: TabularStory, tell: Callable[[str], None]
) -> None:
    run_id = box.run_that_claims(MODEL, _RUN_LIMIT_S)
    run = api.follow(NEW_DATA, run_id, _RUN_LIMIT_S, lambda _: None)
    story.runs.append(run)
    version = _version(api, aws, run_id)
    story.versions.append(version)
    tell(
        f"{version.model_version} is {version.approval}, AUC {version.auc:.3f}, after {run.duration_s:.0f} s"
    )


def _version(api: AirflowApi, aws: Aws, run_id: str) -> Version:
    registered = api.xcom(NEW_DATA, run_id, "register_candidate")
    package = aws.client("sagemaker").describe_model_package(ModelPackageName=registered["model_package_arn"])
    made_from = package["CustomerMetadataProperties"]
    return Version(
        model_version=registered["model_version"],
        approval=package["ModelApprovalStatus"],
        reason=package.get("ApprovalDescription", ""),
        trained_on_rows=api.xcom(NEW_DATA, run_id, "gather_data")["rows"],
        auc=float(made_from["auc"]),
        recall=float(made_from["recall"]),
        report=made_from["report"],
        smoke_test=made_from["smoke_test"],
    )


def _ask_endpoint(aws: Aws, story: TabularStory) -> tuple[str, bool]:
    """Return which version answers, and whether it says what it is known to say."""
    approved = [version for version in story.versions if version.approval == "Approved"]
    place = S3Location.parse(approved[-1].smoke_test)
    known = SmokeTest.from_json(
        json.loads(aws.client("s3").get_object(Bucket=place.bucket, Key=place.key)["Body"].read())
    )
    answer = aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=load_model_spec(MODEL).endpoint.name,
        ContentType=CSV,
        Accept=CSV,
        Body=request_body(known.rows),
    )
    answers = answers_of(answer["Body"].read(), answer["ContentType"], len(known.rows))
    right = all(math.isclose(a[0], b[0], rel_tol=1e-5) for a, b in zip(answers, known.answers, strict=True))
    return f"{MODEL}/{answer['InvokedProductionVariant'].removeprefix('v')}", right

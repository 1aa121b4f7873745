"""A tabular model of a test's own: dropping files for it, releasing it, and seeing what came of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from tests.dags.runs import write_spec
from tests.vigil.release.releasing import ROLE, TAGS, known_answers, settle
from tests.vigil.training.tables import tabular_spec
from tests.waiting import wait_for
from vigil.aws import Aws, S3Location
from vigil.predictions import CSV, answers_of, request_body
from vigil.release.deployment import plan_deployment, promote, start_deployment
from vigil.release.registry import Candidate, register
from vigil.release.shifting import Shifting
from vigil.sagemaker_jobs import TRAINING, describe, result_of, start_or_adopt
from vigil.training.dataset import SCHEMA
from vigil.training.evaluation.known_answers import SMOKE_TEST, save_smoke_test
from vigil.training.preparing import prepare_dataset
from vigil.training.request import training_request
from vigil.training.resolving import resolve
from vigil.training.spec.data import Tabular
from vigil.training.spec.model import parse_model_spec
from vigil.training.triggers.accepted import list_files, settle_files
from vigil.training.triggers.incoming import claim_files, incoming_files
from vigil.windows import now

REGION = "eu-west-1"
_BETWEEN_CALLS_S = 0.03


@dataclass(frozen=True)
class TabularModel:
    """One model; its bucket and its database hold nothing else.

    Attributes:
        name: of model spec, registry group and endpoint.
        bucket: keeps versions, as the template makes it.
        include: the copy of include/ that holds the model spec.
        aws: clients.
        connection: to the database.
    """

    name: str
    bucket: str
    include: Path
    aws: Aws
    connection: Connection[Any]

    @property
    def s3(self) -> Any:
        return self.aws.client("s3")

    @property
    def sagemaker(self) -> Any:
        return self.aws.client("sagemaker")

    def specify(self, **changes: Any) -> None:
        """Change the model spec."""
        write_spec(tabular_spec(self.name, **changes), self.include)

    def drop(self, name: str, content: str | bytes, model: str | None = None) -> str:
        """Drop a file; return its key."""
        key = f"incoming/{model or self.name}/{name}"
        body = content if isinstance(content, bytes) else content.encode()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return key

    def drop_manifest(self, **content: Any) -> None:
        """Put what is said of the data beside them."""
        self.drop("manifest.json", json.dumps(content))

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of all objects below a prefix."""
        return [
            entry["Key"]
            for entry in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        ]

    def names(self, prefix: str) -> list[str]:
        """Return the objects' names, in order, without the folders that they lie in."""
        return sorted(key.rpartition("/")[2] for key in self.keys(prefix))

    def read(self, key: str) -> str:
        """Return the content of an object."""
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body.decode()

    def training_jobs(self) -> list[dict[str, Any]]:
        """Return the description of every training job, the oldest first."""
        names = [
            job["TrainingJobName"]
            for job in self.sagemaker.list_training_jobs(
                NameContains=self.name, SortBy="CreationTime", SortOrder="Ascending"
            )["TrainingJobSummaries"]
        ]
        return [self.sagemaker.describe_training_job(TrainingJobName=name) for name in names]

    def break_artifact(self) -> None:
        """Make the last training job's artifact one that no image can load."""
        artifact = S3Location.parse(self.training_jobs()[-1]["ModelArtifacts"]["S3ModelArtifacts"])
        self.s3.put_object(Bucket=artifact.bucket, Key=artifact.key, Body=b"no archive at all")

    def spoil_known_answers(self) -> None:
        """Let the newest candidate have said something else in Batch Transform than its model says."""
        (key,) = [key for key in self.keys("training/") if key.endswith(f"/{SMOKE_TEST}")][-1:]
        content = json.loads(self.read(key))
        content["answers"] = [[0.123] for _ in content["answers"]]
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps(content).encode())

    def paid(self) -> tuple[int, int, int]:
        """Return how many training, transform and processing jobs there ever were."""
        transforms = self.sagemaker.list_transform_jobs(NameContains=self.name)["TransformJobSummaries"]
        processings = self.sagemaker.list_processing_jobs(NameContains=self.name)["ProcessingJobSummaries"]
        return len(self.training_jobs()), len(transforms), len(processings)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the database answers now."""
        self.connection.rollback()
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def released(self) -> dict[str, str]:
        """Return each version that was released and its status; versions as numbers."""
        found = self.rows("SELECT model_version, status FROM released_models")
        return {version.rpartition("/")[2]: status for version, status in found}

    def claims(self) -> list[str]:
        """Return the status of everything that was ever claimed."""
        return [status for (status,) in self.rows("SELECT status FROM training_claims ORDER BY claimed_at")]

    def told(self, kind: str) -> list[str]:
        """Return the notices of a kind that SNS has taken."""
        query = "SELECT kind, text FROM notices WHERE published_at IS NOT NULL ORDER BY created_at"
        return [text for found, text in self.rows(query) if found == kind]

    def registered(self, version: int) -> dict[str, Any]:
        """Return the description of a version in the registry."""
        (arn,) = [
            package["ModelPackageArn"]
            for package in self.sagemaker.list_model_packages(ModelPackageGroupName=self.name)[
                "ModelPackageSummaryList"
            ]
            if package["ModelPackageVersion"] == version
        ]
        found: dict[str, Any] = self.sagemaker.describe_model_package(ModelPackageName=arn)
        return found

    def serving(self) -> str:
        """Return the variant that answers, after its answers have been compared with the known ones."""
        ((smoke_test,),) = self.rows("SELECT smoke_test FROM released_models WHERE status = 'champion'")
        test = json.loads(smoke_test)
        answer = self.ask(test["rows"])
        found = answers_of(answer["Body"].read(), answer["ContentType"], len(test["rows"]))
        for ours, known in zip(found, test["answers"], strict=True):
            assert abs(ours[0] - known[0]) < 1e-5
        return str(answer["InvokedProductionVariant"])

    def ask(self, rows: list[list[float]]) -> dict[str, Any]:
        """Invoke the endpoint."""
        answer: dict[str, Any] = self.aws.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.name, ContentType=CSV, Accept=CSV, Body=request_body(rows)
        )
        return answer

    def claim(self, run: str, moment: datetime | None = None) -> list[str]:
        """Claim what lies there for a run that nobody has heard of; return the files."""
        spec = parse_model_spec(tabular_spec(self.name))
        assert isinstance(spec.data, Tabular)
        files = incoming_files(self.s3, self.bucket, self.name)
        return claim_files(
            self.connection, self.s3, files, self.name, spec.data, run, lambda other: False, moment or now()
        ).files

    @contextmanager
    def asked_all_along(self) -> Iterator[list[str]]:
        """Invoke the endpoint again and again; the variants that answered, in order, each once in a row.

        A call that fails ends the asking, and fails the test at the end.
        """
        variants: list[str] = []
        failures: list[Exception] = []
        ended = threading.Event()

        def ask() -> None:
            try:
                while not ended.wait(_BETWEEN_CALLS_S):
                    variant = str(self.ask([[0.5] * 3])["InvokedProductionVariant"])
                    if variants[-1:] != [variant]:
                        variants.append(variant)
            except Exception as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            yield variants
        finally:
            ended.set()
            asking.join()
        assert not failures

    def release(self, content: str, due_at: datetime | None = None, **hyperparameters: Any) -> None:
        """Bring the next version into service, trained on one more file, as a run would, but quicker.

        Its metrics are made up: it is compared with nothing.
        """
        number = len(self.released()) + 1
        due_at, dag_run = due_at or now(), f"test/{number}"
        spec = parse_model_spec(tabular_spec(self.name))
        spec.algorithm.hyperparameters.update({name: str(v) for name, v in hyperparameters.items()})
        request = resolve(spec, [], None, dag_run=dag_run, due_at=due_at, bucket=self.bucket)
        self.drop(f"release-{number}.csv", content)
        assert self.claim(dag_run, due_at)
        manifest = list_files(self.connection, self.s3, request, spec.data).location
        dataset = prepare_dataset(self.s3, manifest, spec, request.run.dataset)
        wanted = training_request(request.run, spec, dataset, role=ROLE, region=REGION, key=None)
        job = start_or_adopt(self.sagemaker, TRAINING, wanted)
        wait_for(lambda: describe(self.sagemaker, TRAINING, job)["TrainingJobStatus"] == "Completed", job)
        trained = result_of(TRAINING, describe(self.sagemaker, TRAINING, job))
        artifact = S3Location.parse(trained["ModelArtifacts"]["S3ModelArtifacts"])
        body = self.s3.get_object(Bucket=self.bucket, Key=artifact.key)["Body"].read()
        smoke_test = known_answers(body, [[100.0, 0.0, 1.0], [900.0, 1.0, 0.0]])
        save_smoke_test(self.s3, request.run.root / SMOKE_TEST, smoke_test)
        evaluation = request.run.root / "evaluation.json"
        content = {"objective": spec.objective, "candidate": {"metrics": {}}, "champion": None}
        self.s3.put_object(Bucket=self.bucket, Key=evaluation.key, Body=json.dumps(content).encode())
        candidate = Candidate(
            image=trained["AlgorithmSpecification"]["TrainingImage"],
            model_data_url=str(artifact),
            training_job=job,
            dataset=dataset.location / SCHEMA,
            manifest=dataset.manifest,
            evaluation=evaluation,
            band=None,
            smoke_test=request.run.root / SMOKE_TEST,
            report=evaluation,
            metrics={},
            run=request.run.run,
        )
        version = register(self.sagemaker, self.name, candidate, approved=True, reasons=["Test."], tags=TAGS)
        deployment = plan_deployment(
            version,
            model=self.name,
            endpoint=self.name,
            hosting=spec.endpoint.hosting,
            shifting=Shifting(),
            due_at=due_at,
        )
        start_deployment(
            self.connection,
            self.sagemaker,
            deployment,
            band=None,
            metrics={},
            smoke_test=smoke_test,
            role=ROLE,
            tags=TAGS,
        )
        assert settle(self.sagemaker, deployment).state == "serving"
        promote(self.connection, deployment)
        settle_files(self.connection, self.s3, request, due_at)

    def take_down(self) -> None:
        """Delete the endpoint, if there is one: it is a process of its own."""
        found = self.sagemaker.list_endpoints(NameContains=self.name)["Endpoints"]
        for endpoint in found:
            self.sagemaker.delete_endpoint(EndpointName=endpoint["EndpointName"])

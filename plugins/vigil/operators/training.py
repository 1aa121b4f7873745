"""Tasks of the training domain, in the order in which a run needs them."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from vigil.operators.environment import open_database
from vigil.operators.jobs import SageMakerJobOperator
from vigil.operators.open_run import open_run
from vigil.sagemaker_jobs import PROCESSING, TRAINING, TRANSFORM

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.operators.open_run import OpenRun
    from vigil.released_models import ReleasedModel
    from vigil.training.dataset import Dataset
    from vigil.training.spec.data import Tabular
    from vigil.training.spec.model import ModelSpec

log = logging.getLogger(__name__)


@task
def gather_data(request: Any) -> dict[str, Any]:
    """Write down what is trained on, and return where: an export of counted windows, or a list of files."""
    from vigil.training.spec.data import EventCounts

    opened = open_run(request)
    if isinstance(opened.spec.data, EventCounts):
        return _export_windows(opened, opened.spec.data.history)
    return _list_files(opened, opened.spec.data)


def _export_windows(opened: OpenRun, history: timedelta) -> dict[str, Any]:
    from vigil.training.counts.export import export_windows
    from vigil.windows import WINDOW, window_of

    until = window_of(opened.request.due_at) + WINDOW
    manifest = export_windows(
        open_database(opened.settings),
        opened.s3,
        opened.run.export,
        until - history,
        until,
        progress=lambda rows: log.info("%d windows exported", rows),
    )
    log.info("Exported %d windows of %d series", manifest.rows, manifest.series)
    return {"manifest": str(manifest.location), "rows": manifest.rows}


def _list_files(opened: OpenRun, data: Tabular) -> dict[str, Any]:
    from vigil.database import connected
    from vigil.training.triggers.accepted import list_files

    with connected(open_database(opened.settings)) as connection:
        manifest = list_files(connection, opened.s3, opened.request, data)
    log.info("%d rows in %d files", manifest.rows, len(manifest.files))
    return {"manifest": str(manifest.location), "rows": manifest.rows}


@task
def prepare_dataset(request: Any, data: Any) -> dict[str, Any]:
    """Turn the data into rows of features, share them out, and return the data set's description."""
    from vigil.aws import S3Location
    from vigil.training.preparing import prepare_dataset

    opened = open_run(request)
    dataset = prepare_dataset(
        opened.s3,
        S3Location.parse(data["manifest"]),
        opened.spec,
        opened.run.dataset,
        progress=lambda rows: log.info("%d rows prepared", rows),
    )
    log.info("Rows: %s", ", ".join(f"{rows} {part}" for part, rows in dataset.rows.items()))
    return dataset.to_json()


class TrainModelOperator(SageMakerJobOperator):
    """Train a candidate, and return its job and artifact.

    Args:
        request: the resolved request (templated).
        dataset: its description (templated).
    """

    kind = TRAINING
    template_fields = ("request", "dataset")

    def __init__(self, *, request: Any, dataset: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request = request
        self.dataset = dataset

    def job_request(self, context: Context) -> dict[str, Any]:
        """Return the request of CreateTrainingJob."""
        from vigil.training.dataset import Dataset
        from vigil.training.request import training_request

        opened = open_run(self.request)
        dataset = Dataset.from_json(self.dataset)
        return training_request(opened.run, opened.spec, dataset, **opened.where, key=opened.settings.key_arn)

    def result(self, context: Context, description: dict[str, Any]) -> dict[str, Any]:
        """Return the job's name and the location of its artifact, and tell people."""
        from vigil.operators.telling import tell

        metrics = {m["MetricName"]: m["Value"] for m in description.get("FinalMetricDataList", [])}
        for name, value in metrics.items():
            self.log.info("%s %g", name, value)
        opened = open_run(self.request)
        job = description["TrainingJobName"]
        tell(
            opened,
            "training-succeeded",
            f"{opened.run.model}: the training job {job} has completed.\n"
            f"It took {description.get('TrainingTimeInSeconds', 0)} s; the candidate is evaluated next.",
        )
        return {
            "training_job": job,
            "image": description["AlgorithmSpecification"]["TrainingImage"],
            "model_data_url": description["ModelArtifacts"]["S3ModelArtifacts"],
        }


class PredictOperator(SageMakerJobOperator):
    """Predict held-out rows; the model spec limits how long that may take.

    Args:
        request: the resolved request (templated).
        dataset: its description (templated).
    """

    kind = TRANSFORM

    def __init__(self, *, request: Any, dataset: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request = request
        self.dataset = dataset

    def longest_run_s(self, context: Context, request: dict[str, Any]) -> float:
        """Return the limit of the model spec: SageMaker knows none for transform jobs."""
        return float(open_run(self.request).spec.transform.max_runtime_s)


class PredictWithCandidateOperator(PredictOperator):
    """Predict all held-out rows by the candidate.

    Args:
        request: the resolved request (templated).
        dataset: its description (templated).
        training: as the training returned it (templated).
    """

    template_fields = ("request", "dataset", "training")

    def __init__(self, *, training: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training = training

    def job_request(self, context: Context) -> dict[str, Any]:
        """Create the candidate's model, and return the request of CreateTransformJob."""
        from vigil.sagemaker_jobs import create_unless_it_exists
        from vigil.training.dataset import Dataset
        from vigil.training.request import candidate_model_request, candidate_transform_request

        opened = open_run(self.request)
        candidate = candidate_model_request(
            opened.run,
            self.training["training_job"],
            self.training["image"],
            self.training["model_data_url"],
            role=opened.settings.sagemaker_role_arn,
        )
        create_unless_it_exists(opened.sagemaker.create_model, candidate)
        return candidate_transform_request(
            opened.run,
            opened.spec,
            Dataset.from_json(self.dataset),
            candidate["ModelName"],
            key=opened.settings.key_arn,
        )


class PredictWithChampionOperator(PredictOperator):
    """Predict the test rows by the model that serves now; skipped when none does.

    Args:
        request: the resolved request (templated).
        dataset: its description (templated).
        champion: model version, or None (templated).
    """

    template_fields = ("request", "dataset", "champion")

    def __init__(self, *, champion: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.champion = champion

    def job_request(self, context: Context) -> dict[str, Any]:
        """Return the request of CreateTransformJob."""
        from vigil.training.dataset import Dataset
        from vigil.training.request import champion_transform_request

        opened = open_run(self.request)
        dataset = Dataset.from_json(self.dataset)
        champion = champion_to_beat(opened, self.champion, dataset)
        if champion is None:
            raise AirflowSkipException(f"{opened.run.model} has no champion to beat on these rows.")
        return champion_transform_request(
            opened.run,
            opened.spec,
            dataset,
            champion.sagemaker_model,
            champion.model_version,
            key=opened.settings.key_arn,
        )


class EvaluateModelOperator(SageMakerJobOperator):
    """Measure the candidate on the test rows, beside the champion.

    Args:
        request: the resolved request (templated).
        dataset: its description (templated).
        training: as the training returned it (templated).
        champion: model version, or None (templated).
    """

    kind = PROCESSING
    template_fields = ("request", "dataset", "training", "champion")

    def __init__(self, *, request: Any, dataset: Any, training: Any, champion: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request = request
        self.dataset = dataset
        self.training = training
        self.champion = champion

    def job_request(self, context: Context) -> dict[str, Any]:
        """Upload script and configuration, and return the request of CreateProcessingJob."""
        from vigil.training.dataset import Dataset
        from vigil.training.evaluation.job import upload_evaluation
        from vigil.training.request import evaluation_request

        opened = open_run(self.request)
        dataset = Dataset.from_json(self.dataset)
        champion = champion_to_beat(opened, self.champion, dataset)
        upload_evaluation(opened.s3, opened.run, opened.spec, dataset, champion)
        version = champion.model_version if champion else None
        return evaluation_request(
            opened.run,
            opened.spec,
            self.training["training_job"],
            version,
            **opened.where,
            key=opened.settings.key_arn,
        )

    def result(self, context: Context, description: dict[str, Any]) -> dict[str, Any]:
        """Return where the evaluation lies."""
        output = description["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]
        return {"location": output["S3Uri"]}


@task
def report_evaluation(request: Any, evaluation: Any) -> dict[str, Any]:
    """Write the report for people, with pictures, beside the evaluation; return where it is."""
    from vigil.aws import S3Location
    from vigil.training.evaluation.report import write_report

    opened = open_run(request)
    report = write_report(opened.s3, S3Location.parse(evaluation["location"]))
    for picture in report.pictures:
        log.info("Picture: %s", picture)
    log.info("Report: %s", report.location)
    return {"location": str(report.location), "pictures": [str(picture) for picture in report.pictures]}


@task
def judge_candidate(request: Any, evaluation: Any) -> dict[str, Any]:
    """Compare the evaluation with the gates, and return the decision."""
    from vigil.aws import S3Location
    from vigil.training.evaluation.gate import judge_candidate
    from vigil.training.evaluation.job import read_evaluation

    opened = open_run(request)
    content, _ = read_evaluation(opened.s3, S3Location.parse(evaluation["location"]))
    decision = judge_candidate(content, opened.spec.gates)
    for name, value in decision.metrics.items():
        log.info("%s %s", name, value)
    for reason in decision.reasons:
        log.warning("Rejected: %s", reason)
    return decision.to_json()


def released_version(opened: OpenRun, model_version: str | None) -> ReleasedModel | None:
    """Return a version that was released, or None for none."""
    from vigil.database import connected
    from vigil.released_models import released_model

    if model_version is None:
        return None
    with connected(open_database(opened.settings)) as connection, connection.cursor() as cursor:
        return released_model(cursor, opened.run.model, model_version)


def champion_to_beat(opened: OpenRun, model_version: str | None, dataset: Dataset) -> ReleasedModel | None:
    """Return the champion if it can be asked about the rows of a data set, and its answers be measured.

    It cannot when columns changed, or when an older Vigil released it.
    """
    from vigil.release.registry import registered_model
    from vigil.released_models import FormerBand
    from vigil.training.dataset import read_description

    champion = released_version(opened, model_version)
    if champion is None:
        return None
    if isinstance(champion.band, FormerBand):
        log.warning("%s was released by an older Vigil: it cannot be compared with.", model_version)
        return None
    registered = registered_model(opened.sagemaker, champion.model_package_arn)
    learned_from = read_description(opened.s3, registered.dataset)
    if (learned_from["features"], learned_from.get("classes", [])) == (
        list(dataset.features),
        list(dataset.classes),
    ):
        return champion
    log.warning("%s was trained on other columns: it cannot be compared with.", model_version)
    return None


def longest_judgement(spec: ModelSpec) -> timedelta:
    """Return how long prediction and evaluation may take, machines included."""
    slack = timedelta(minutes=30)
    return timedelta(seconds=spec.transform.max_runtime_s + spec.evaluation.max_runtime_s) + slack

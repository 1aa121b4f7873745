"""Operators of the training domain, in the order in which a run needs them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigil.operators.environment import load_settings, open_aws, open_database, run_moment
from vigil.operators.jobs import SageMakerJobOperator
from vigil.sagemaker_jobs import PROCESSING, TRAINING, TRANSFORM

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.aws import Aws
    from vigil.settings import Settings
    from vigil.training.request import TrainingRun
    from vigil.training.spec.model import ModelSpec


@dataclass(frozen=True)
class OpenRun:
    """What every task of a training run works with."""

    settings: Settings
    aws: Aws
    spec: ModelSpec
    run: TrainingRun

    @property
    def where(self) -> dict[str, str]:
        """Return the role that SageMaker takes and the region of its images."""
        return {"role": self.settings.sagemaker_role_arn, "region": self.aws.session.region_name}


def open_run(context: Context, model: str) -> OpenRun:
    """Return settings, clients, model spec and names of a training run, the same for each of its tasks."""
    from vigil.training.request import plan_run
    from vigil.training.spec.model import load_model_spec

    settings = load_settings()
    spec = load_model_spec(model)
    run = plan_run(spec, context["run_id"], run_moment(context), settings.bucket)
    return OpenRun(settings, open_aws(settings), spec, run)


class ExportWindowsOperator(BaseOperator):
    """Write every known window of the model's history to S3, and return where the manifest is.

    Args:
        model: name of the model spec (templated).
    """

    template_fields = ("model",)

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: Context) -> dict[str, Any]:
        """Export up to the moment at which the run was due."""
        from vigil.training.export import export_windows
        from vigil.training.spec.data import EventCounts
        from vigil.windows import WINDOW, window_of

        opened = open_run(context, self.model)
        data = opened.spec.data
        if not isinstance(data, EventCounts):
            raise AirflowFailException(f"{self.model} does not learn from event counts: nothing to export.")
        until = window_of(run_moment(context)) + WINDOW
        manifest = export_windows(
            open_database(opened.settings),
            opened.aws.client("s3"),
            opened.run.export,
            until - data.history,
            until,
            progress=lambda rows: self.log.info("%d windows exported", rows),
        )
        self.log.info("Exported %d windows of %d series", manifest.rows, manifest.series)
        return {"manifest": str(manifest.location), "rows": manifest.rows, "series": manifest.series}


class PrepareDatasetOperator(BaseOperator):
    """Describe the exported windows by features, split them, and return the data set's description.

    Args:
        model: name of the model spec (templated).
        export: as the export returned it (templated).
    """

    template_fields = ("model", "export")

    def __init__(self, *, model: str, export: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.export = export

    def execute(self, context: Context) -> dict[str, Any]:
        """Prepare the data set beside the export."""
        from vigil.aws import S3Location
        from vigil.training.preparing import prepare_dataset

        opened = open_run(context, self.model)
        dataset = prepare_dataset(
            opened.aws.client("s3"),
            S3Location.parse(self.export["manifest"]),
            opened.spec,
            opened.run.dataset,
            progress=lambda rows: self.log.info("%d rows described", rows),
        )
        self.log.info("Rows: %s", ", ".join(f"{rows} {part}" for part, rows in dataset.rows.items()))
        return dataset.to_json()


class TrainModelOperator(SageMakerJobOperator):
    """Train a candidate, and return its job and artifact.

    Args:
        model: name of the model spec (templated).
        dataset: its description (templated).
    """

    kind = TRAINING
    template_fields = ("model", "dataset")

    def __init__(self, *, model: str, dataset: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.dataset = dataset

    def request(self, context: Context) -> dict[str, Any]:
        """Return the request of CreateTrainingJob."""
        from vigil.training.dataset import Dataset
        from vigil.training.request import training_request

        opened = open_run(context, self.model)
        return training_request(opened.run, opened.spec, Dataset.from_json(self.dataset), **opened.where)

    def result(self, context: Context, description: dict[str, Any]) -> dict[str, Any]:
        """Return the job's name and the location of its artifact."""
        for metric in description.get("FinalMetricDataList", []):
            self.log.info("%s %g", metric["MetricName"], metric["Value"])
        return {
            "training_job": description["TrainingJobName"],
            "image": description["AlgorithmSpecification"]["TrainingImage"],
            "model_data_url": description["ModelArtifacts"]["S3ModelArtifacts"],
        }


class PredictOperator(SageMakerJobOperator):
    """Predict held-out rows; the model spec limits how long that may take.

    Args:
        model: name of the model spec (templated).
        dataset: its description (templated).
    """

    kind = TRANSFORM

    def __init__(self, *, model: str, dataset: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.dataset = dataset

    def longest_run_s(self, context: Context, request: dict[str, Any]) -> float:
        """Return the limit of the model spec: SageMaker knows none for transform jobs."""
        return float(open_run(context, self.model).spec.transform.max_runtime_s)


class PredictWithCandidateOperator(PredictOperator):
    """Predict all held-out rows by the candidate.

    Args:
        model: name of the model spec (templated).
        dataset: its description (templated).
        training: as the training returned it (templated).
    """

    template_fields = ("model", "dataset", "training")

    def __init__(self, *, training: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training = training

    def request(self, context: Context) -> dict[str, Any]:
        """Create the candidate's model, and return the request of CreateTransformJob."""
        from vigil.sagemaker_jobs import create_unless_it_exists
        from vigil.training.dataset import Dataset
        from vigil.training.request import candidate_model_request, candidate_transform_request

        opened = open_run(context, self.model)
        candidate = candidate_model_request(
            opened.run,
            self.training["training_job"],
            self.training["image"],
            self.training["model_data_url"],
            role=opened.settings.sagemaker_role_arn,
        )
        create_unless_it_exists(opened.aws.client("sagemaker").create_model, candidate)
        return candidate_transform_request(
            opened.run, opened.spec, Dataset.from_json(self.dataset), candidate["ModelName"]
        )


class PredictWithChampionOperator(PredictOperator):
    """Predict the test rows by the model that serves now; skipped when none does.

    Args:
        model: name of the model spec (templated).
        dataset: its description (templated).
        champion: model version, or None (templated).
    """

    template_fields = ("model", "dataset", "champion")

    def __init__(self, *, champion: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.champion = champion

    def request(self, context: Context) -> dict[str, Any]:
        """Return the request of CreateTransformJob."""
        from vigil.database import connected
        from vigil.released_models import released_model
        from vigil.training.dataset import Dataset
        from vigil.training.request import champion_transform_request

        if self.champion is None:
            raise AirflowSkipException(
                f"No version of {self.model} serves yet: there is no champion to beat."
            )
        opened = open_run(context, self.model)
        with connected(open_database(opened.settings)) as connection, connection.cursor() as cursor:
            champion = released_model(cursor, self.model, self.champion)
        return champion_transform_request(
            opened.run,
            opened.spec,
            Dataset.from_json(self.dataset),
            champion.sagemaker_model,
            champion.model_version,
        )


class EvaluateModelOperator(SageMakerJobOperator):
    """Measure the candidate on the test rows, beside the champion, and calibrate its band.

    Args:
        model: name of the model spec (templated).
        dataset: its description (templated).
        training: as the training returned it (templated).
        champion: model version, or None (templated).
    """

    kind = PROCESSING
    template_fields = ("model", "dataset", "training", "champion")

    def __init__(self, *, model: str, dataset: Any, training: Any, champion: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.dataset = dataset
        self.training = training
        self.champion = champion

    def request(self, context: Context) -> dict[str, Any]:
        """Upload script and configuration, and return the request of CreateProcessingJob."""
        from vigil.database import connected
        from vigil.released_models import released_model
        from vigil.training.dataset import Dataset
        from vigil.training.evaluation import upload_evaluation
        from vigil.training.request import evaluation_request

        opened = open_run(context, self.model)
        champion = None
        if self.champion is not None:
            with connected(open_database(opened.settings)) as connection, connection.cursor() as cursor:
                champion = released_model(cursor, self.model, self.champion)
        dataset = Dataset.from_json(self.dataset)
        upload_evaluation(opened.aws.client("s3"), opened.run, opened.spec, dataset, champion)
        return evaluation_request(
            opened.run, opened.spec, self.training["training_job"], self.champion, **opened.where
        )

    def result(self, context: Context, description: dict[str, Any]) -> dict[str, Any]:
        """Return where the evaluation lies."""
        opened = open_run(context, self.model)
        return {"location": str(opened.run.evaluation(self.champion))}


class JudgeCandidateOperator(BaseOperator):
    """Compare the evaluation with the gates of the model spec, and return the decision.

    Args:
        model: name of the model spec (templated).
        evaluation: as the evaluation returned it (templated).
    """

    template_fields = ("model", "evaluation")

    def __init__(self, *, model: str, evaluation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.evaluation = evaluation

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the gate's decision."""
        from vigil.aws import S3Location
        from vigil.training.evaluation import read_evaluation
        from vigil.training.gate import judge_candidate

        opened = open_run(context, self.model)
        location = S3Location.parse(self.evaluation["location"])
        content, _ = read_evaluation(opened.aws.client("s3"), location)
        decision = judge_candidate(content, opened.spec.gates)
        for name, value in decision.metrics.items():
            self.log.info("%s %s", name, value)
        for reason in decision.reasons:
            self.log.warning("Rejected: %s", reason)
        return decision.to_json()


def longest_judgement(spec: ModelSpec) -> timedelta:
    """Return how long prediction and evaluation may take, machines included."""
    slack = timedelta(minutes=30)
    return timedelta(seconds=spec.transform.max_runtime_s + spec.evaluation.max_runtime_s) + slack

"""What a training run asks of SageMaker: the names of everything it makes, and the requests, as data.

The same run builds the same names and requests, so a retry finds what its first try started.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vigil.aws import NAME_LIMIT, S3Location, aws_name, content_hash
from vigil.sagemaker_jobs import encrypted
from vigil.training.dataset import Dataset
from vigil.training.spec.model import ModelSpec
from vigil.windows import slug

_CSV = "text/csv"
# Whoever tries a failed job again needs room for another name.
_NAME_LIMIT = NAME_LIMIT - len("-r99")
_HASH = 8
_ROOT = "/opt/ml"
_INPUT = f"{_ROOT}/processing/input"


@dataclass(frozen=True)
class TrainingRun:
    """One run of training and release, and where its things are.

    Attributes:
        model: name of the model spec.
        run: stamp and content hash.
        bucket: that holds everything.
    """

    model: str
    run: str
    bucket: str

    @property
    def root(self) -> S3Location:
        """Return the prefix of everything this run writes but the export."""
        return S3Location(self.bucket, f"training/{self.model}/{self.run}")

    @property
    def export(self) -> S3Location:
        """Return the prefix of the export: not under `root`, so that a rule of the bucket can delete it."""
        return S3Location(self.bucket, f"exports/{self.model}/{self.run}")

    @property
    def dataset(self) -> S3Location:
        """Return the prefix of the data set."""
        return self.root / "dataset"

    @property
    def artifacts(self) -> S3Location:
        """Return the prefix below which SageMaker puts the artifact of each training job."""
        return self.root / "model"

    @property
    def code(self) -> S3Location:
        """Return the prefix of the scripts that the evaluation job runs."""
        return self.root / "code"

    @property
    def candidate_predictions(self) -> S3Location:
        """Return the prefix of the candidate's predictions of the held-out rows."""
        return self.root / "predictions" / "candidate"

    def champion_predictions(self, champion: str) -> S3Location:
        """Return the prefix of the predictions of a champion, given by model version."""
        return self.root / "predictions" / aws_name(champion)

    def evaluation(self, champion: str | None) -> S3Location:
        """Return the prefix of the evaluation against a champion, or against none."""
        return self.root / "evaluation" / aws_name("against", champion or "none")

    def name(self, kind: str, content: str) -> str:
        """Return the name of a job of this run.

        Args:
            kind: as in `train`.
            content: hash of what it works on, so that a job on other data is never taken for it.
        """
        return aws_name(self.model, f"{kind}-{self.run}-{content}", limit=_NAME_LIMIT)

    @property
    def tags(self) -> list[dict[str, str]]:
        """Return the tags of everything this run makes."""
        return [
            {"Key": "project", "Value": "vigil"},
            {"Key": "model", "Value": self.model},
            {"Key": "run", "Value": self.run},
        ]


def plan_run(spec: ModelSpec, run_id: str, started: datetime, bucket: str) -> TrainingRun:
    """Name a run after its model, its time, and the content of spec and run id.

    Args:
        spec: what to train.
        run_id: of the pipeline's run, the same for each retry.
        started: time of the run, the same for each retry.
        bucket: that holds everything.
    """
    content = content_hash({"spec": spec.model_dump(mode="json"), "run_id": run_id})
    return TrainingRun(spec.name, f"{slug(started)}-{content}", bucket)


def training_request(
    run: TrainingRun, spec: ModelSpec, dataset: Dataset, *, role: str, region: str, key: str | None
) -> dict[str, Any]:
    """Build the request of CreateTrainingJob.

    Args:
        run: that trains.
        spec: its model spec.
        dataset: of the run.
        role: that the job runs as.
        region: of the image.
        key: that encrypts the artifact.
    """
    return {
        "TrainingJobName": run.name("train", dataset.checksum[:_HASH]),
        "AlgorithmSpecification": {
            "TrainingImage": spec.algorithm.uri(region),
            "TrainingInputMode": "File",
        },
        "HyperParameters": dict(spec.algorithm.hyperparameters),
        "RoleArn": role,
        "InputDataConfig": [
            _channel("train", dataset.location / "train/"),
            _channel("validation", dataset.location / "validation/"),
        ],
        "OutputDataConfig": {"S3OutputPath": str(run.artifacts), **encrypted(key)},
        "ResourceConfig": {
            "InstanceType": spec.training.instance_type,
            "InstanceCount": spec.training.instance_count,
            "VolumeSizeInGB": spec.training.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": spec.training.max_runtime_s},
        "Tags": run.tags,
    }


def candidate_model_request(
    run: TrainingRun, training_job: str, image: str, model_data_url: str, *, role: str
) -> dict[str, Any]:
    """Build the request of CreateModel for the model just trained.

    Args:
        run: that trained it.
        training_job: that completed; the model is called like it.
        image: that trained it, and serves it too.
        model_data_url: S3 location of its artifact, as DescribeTrainingJob tells.
        role: that the model runs as.
    """
    return {
        "ModelName": training_job,
        "PrimaryContainer": {"Image": image, "ModelDataUrl": model_data_url},
        "ExecutionRoleArn": role,
        "Tags": run.tags,
    }


def candidate_transform_request(
    run: TrainingRun, spec: ModelSpec, dataset: Dataset, model_name: str, *, key: str | None
) -> dict[str, Any]:
    """Build the request of CreateTransformJob that predicts all held-out rows by the candidate.

    Args:
        run: that judges it.
        spec: its model spec.
        dataset: of the run.
        model_name: of the candidate.
        key: that encrypts the predictions.
    """
    name = run.name("predict", content_hash([model_name, dataset.checksum]))
    heldout = dataset.location / "heldout/"
    output = _transform_output(run.candidate_predictions, key)
    return _transform_request(run, spec, dataset, name, model_name, heldout, output)


def champion_transform_request(
    run: TrainingRun,
    spec: ModelSpec,
    dataset: Dataset,
    model_name: str,
    champion: str,
    *,
    key: str | None,
) -> dict[str, Any]:
    """Build the request of CreateTransformJob that predicts the test rows by the champion.

    Args:
        run: that judges it.
        spec: its model spec.
        dataset: of the run.
        model_name: that the endpoint serves now.
        champion: its model version.
        key: that encrypts the predictions.
    """
    name = run.name("predict", content_hash([champion, model_name, dataset.checksum]))
    test = dataset.location / "heldout/test.csv"
    output = _transform_output(run.champion_predictions(champion), key)
    return _transform_request(run, spec, dataset, name, model_name, test, output)


def evaluation_request(
    run: TrainingRun,
    spec: ModelSpec,
    training_job: str,
    champion: str | None,
    *,
    role: str,
    region: str,
    key: str | None,
) -> dict[str, Any]:
    """Build the request of CreateProcessingJob that runs `include/jobs/evaluate.py`.

    Args:
        run: whose candidate is measured.
        spec: its model spec.
        training_job: that made the candidate.
        champion: model version that it is measured against, if there is one.
        role: that the job runs as.
        region: of the image.
        key: that encrypts the evaluation.
    """
    evaluation = run.evaluation(champion)
    inputs = [
        _processing_input("code", run.code / ""),
        _processing_input("config", evaluation / "config.json"),
        _processing_input("candidate", run.candidate_predictions / ""),
    ]
    if champion:
        inputs.append(_processing_input("champion", run.champion_predictions(champion) / ""))
    return {
        "ProcessingJobName": run.name("evaluate", content_hash([training_job, champion])),
        "AppSpecification": {
            "ImageUri": spec.evaluation.uri(region),
            "ContainerEntrypoint": ["python3", f"{_INPUT}/code/evaluate.py"],
            "ContainerArguments": ["--root", _ROOT],
        },
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "evaluation",
                    "S3Output": {
                        "S3Uri": str(evaluation),
                        "LocalPath": f"{_ROOT}/processing/output/evaluation",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ],
            **encrypted(key),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": spec.evaluation.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": spec.evaluation.volume_gb,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": spec.evaluation.max_runtime_s},
        "RoleArn": role,
        "Tags": run.tags,
    }


def _channel(name: str, prefix: S3Location) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "ContentType": _CSV,
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": str(prefix),
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }


def _transform_request(
    run: TrainingRun,
    spec: ModelSpec,
    dataset: Dataset,
    name: str,
    model_name: str,
    rows: S3Location,
    output: dict[str, str],
) -> dict[str, Any]:
    return {
        "TransformJobName": name,
        "ModelName": model_name,
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": 6,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": str(rows)}},
            "ContentType": _CSV,
            "SplitType": "Line",
        },
        "TransformOutput": output,
        "DataProcessing": _join_answers(dataset),
        "TransformResources": {
            "InstanceType": spec.transform.instance_type,
            "InstanceCount": spec.transform.instance_count,
        },
        "Tags": run.tags,
    }


def _transform_output(place: S3Location, key: str | None) -> dict[str, str]:
    return {"S3OutputPath": str(place), "Accept": _CSV, "AssembleWith": "Line", **encrypted(key)}


def features_in_predictions(dataset: Dataset) -> int:
    """Return how many columns of features lie between the keys and the answer in a transform job's output.

    A regression has one number as its answer, so a filter leaves the features out. What tells a class may
    answer any number of columns, and SageMaker documents no filter for some first columns and all behind the
    features.
    """
    return 0 if dataset.objective == "regression" else len(dataset.features)


def _join_answers(dataset: Dataset) -> dict[str, str]:
    """Send the features alone to the model, and put its answer behind label and keys."""
    front = range(1 + len(dataset.keys))
    join = {"InputFilter": f"$[{len(front)}:]", "JoinSource": "Input"}
    if features_in_predictions(dataset) == 0:
        join["OutputFilter"] = f"$[{','.join(map(str, front))},-1]"
    return join


def _processing_input(name: str, source: S3Location) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": str(source),
            "LocalPath": f"{_INPUT}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }

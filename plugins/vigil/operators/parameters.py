"""The trigger form: what a person can say of a run, each field typed and described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

if TYPE_CHECKING:
    from vigil.training.resolving import Said

_FORM = "trigger form"


def model_parameter(default: str | None, description: str) -> Param:
    """Return the field that names a model spec; without a default it may be left empty."""
    kind: Any = "string" if default else ["null", "string"]
    return Param(
        default,
        type=kind,
        pattern="^[a-zA-Z0-9](-*[a-zA-Z0-9])*$",
        maxLength=40,
        title="Model",
        description=description,
    )


def dry_run_parameter() -> Param:
    """Return the field that only shows what would happen."""
    return Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only show what would happen, in the first task's log; nothing is paid for or changed.",
    )


def training_parameters() -> dict[str, Param]:
    """Return the fields that say how to train; an empty one leaves it to manifest and model spec."""
    return {
        "hyperparameters": Param(
            None,
            type=["null", "object"],
            title="Hyperparameters",
            description='As in {"eta": 0.1}: put beside the others, or in place of those of the same name; '
            "null takes one away.",
        ),
        "inherit": Param(
            None,
            type=["null", "string"],
            enum=[None, "none", "champion", "last_job"],
            title="Inherit hyperparameters",
            description="Take those of the champion's training job, or of the last completed job whose name "
            "begins with the setting inherit_job_prefix; none takes the model spec's.",
        ),
        "image_uri": Param(
            None,
            type=["null", "string"],
            title="Image",
            description="Container image that trains and serves, by its whole URI.",
        ),
        "instance_type": Param(
            None,
            type=["null", "string"],
            pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$",
            title="Instance type",
            description="Machine of the training job, as in ml.m5.xlarge.",
        ),
        "instance_count": Param(
            None, type=["null", "integer"], minimum=1, title="Instances", description="Of the training job."
        ),
        "max_runtime_min": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Longest training",
            description="Minutes after which the training job is stopped.",
        ),
        "target": Param(
            None,
            type=["null", "string"],
            title="Target",
            description="Column that a tabular model predicts.",
        ),
        "objective": Param(
            None,
            type=["null", "string"],
            enum=[None, "regression", "binary", "multiclass"],
            title="Objective",
            description="What a tabular model predicts: a number, or one of two or more classes.",
        ),
        "split": Param(
            None,
            type=["null", "object"],
            title="Split",
            description='How rows are shared out, as in {"method": "random", "seed": 7}.',
        ),
        "gates": Param(
            None,
            type=["null", "object"],
            title="Gates",
            description='What the candidate must reach, as in {"max_wape": 0.4}, beside the model spec\'s.',
        ),
        "approval": Param(
            None,
            type=["null", "string"],
            enum=[None, "gates", "person"],
            title="Approval",
            description="Who approves a candidate: the gates alone, or a person too, in Airflow's UI.",
        ),
    }


def said_in_the_form(parameters: Mapping[str, Any]) -> Said:
    """Return what a person said in the trigger form.

    Raises:
        SettingsError: something in it cannot be used.
    """
    from vigil.training.overrides import parse_overrides
    from vigil.training.resolving import Said

    given = {name: parameters[name] for name in training_parameters() if parameters.get(name) is not None}
    names = {"instance_type": "type", "instance_count": "count", "max_runtime_min": "max_runtime_min"}
    instance = {field: given.pop(name) for name, field in names.items() if name in given}
    content = given | ({"instance": instance} if instance else {})
    return Said(_FORM, parse_overrides(content, f"the {_FORM}"))

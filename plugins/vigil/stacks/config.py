"""What a person says of a training stack: the two configuration files, and all that they leave open.

The keys and their meaning are those of Parris, whose `lambda-config.json` and `training-config.json` work as
they are. One model holds the keys of both, so that either file, or the trigger form, may give any of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vigil.errors import SettingsError
from vigil.paths import configs_dir
from vigil.settings import explain

SCHEMA = "stacks/training-stack.schema.json"
NAME = r"^[a-zA-Z][-a-zA-Z0-9]*$"
DEFAULT_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
DEFAULT_MAXIMUM_H = 24.0
LONGEST_H = 720.0

_OPTIONS = "termination-options"
_LIMITS = ("time-limit", "cost-limit")
_OTHER_SPELLINGS = {
    "lambda_role_arn": "lambda-role-arn",
    "s3_training_bucket": "s3-training-bucket",
    "instance-profile": "instance-iam-role-name",
    "key-pair": "ec2-keypair-name",
}
_OTHER_METHODS = {"training-completion": "on-complete", "around-cost": "around-cost-threshold"}
# A parameter of a template takes 4,096 bytes, and each prefix stands in one behind the bucket's ARN.
_PREFIXES_LIMIT = 2_000
# What AWS allows in a tag.
_TAG = r"[\w +\-=.:/@]*"

Hours = Annotated[float, Field(strict=True, gt=0, le=LONGEST_H, allow_inf_nan=False)]
Dollars = Annotated[float, Field(strict=True, gt=0, le=100_000, allow_inf_nan=False)]


class TerminationMethod(StrEnum):
    """What ends a training stack."""

    ON_COMPLETE = "on-complete"
    AT_FIXED_TIME = "at-fixed-time"
    AROUND_COST_THRESHOLD = "around-cost-threshold"


class TrainingStackConfig(BaseModel):
    """One training stack, as a person describes it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-")
    )

    lambda_role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
        description="Role that CloudFormation makes and removes the stack with, in place of the setting "
        "training_stack_role_arn. Its trust policy must name cloudformation.amazonaws.com. Also spelt "
        "lambda_role_arn.",
    )
    s3_training_bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([.-]?[a-z0-9])+$",
        min_length=3,
        max_length=63,
        description="Bucket that configuration and script are taken from; without it they are taken from "
        "include/configs/stacks/ and include/jobs/. Its name alone, no s3://. Also spelt s3_training_bucket.",
    )
    training_job_name: str = Field(
        pattern=NAME, max_length=60, description="Name of the stack; begins what is kept on S3."
    )
    termination_method: TerminationMethod = Field(
        description="What ends the stack. training-completion and around-cost are other names of the first "
        "and the last."
    )
    time_limit: Hours | None = Field(
        default=None, description="Hours, decimals allowed; of at-fixed-time. Also in termination-options."
    )
    cost_limit: Dollars | None = Field(
        default=None,
        description="USD, by the price at launch; of around-cost-threshold. Also in termination-options.",
    )
    training_script_filename: str = Field(
        min_length=1,
        max_length=512,
        description="Script in the bucket or in include/jobs/; one that does not begin with #! is run by "
        "python3 if it ends in .py, else by bash.",
    )
    stack_replacement: bool = Field(
        default=False,
        strict=True,
        description="Whether a running stack of this name is replaced: its instance is terminated, and what "
        "is kept nowhere but on it is lost.",
    )
    instance_type: str = Field(default="t3.medium", pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")
    image: str = Field(
        default=DEFAULT_IMAGE,
        pattern=r"^(ami-[0-9a-f]+|/[\w./-]+)$",
        description="Image id, or SSM parameter that holds one. It needs systemd, bash, python3 and the AWS "
        "CLI, as Amazon Linux 2023 has them.",
    )
    subnet_id: str | None = Field(
        default=None, pattern=r"^subnet-[0-9a-f]+$", description="Without it, one of the default VPC."
    )
    security_group_id: str | None = Field(
        default=None, pattern=r"^sg-[0-9a-f]+$", description="Without it, the VPC's default group."
    )
    ec2_keypair_name: str | None = Field(default=None, min_length=1, max_length=255)
    instance_iam_role_name: str | None = Field(
        default=None,
        pattern=r"^[\w+=,.@-]{1,128}$",
        description="Instance profile of your own. Without it the stack makes one that may read and write "
        "this job's folder of the bucket, and read read-prefixes.",
    )
    read_prefixes: tuple[str, ...] = Field(
        default=(),
        max_length=10,
        description="Prefixes of the pipeline's bucket that the script may read, as in accepted/model/.",
    )
    volume_size_gb: int = Field(default=30, strict=True, ge=8, le=16_384)
    volume_type: Literal["gp3", "gp2"] = "gp3"
    purchase: Literal["on-demand", "spot"] = "on-demand"
    spot_max_price: Dollars | None = Field(
        default=None,
        description="Most USD an hour to pay for a spot instance; costs are reckoned with it then. Without "
        "it, the spot price at launch: when the price rises above it, the instance is taken away.",
    )
    hourly_price: Dollars | None = Field(
        default=None,
        description="USD an hour of instance and volume, for when AWS does not tell a price.",
    )
    maximum_hours: Hours | None = Field(
        default=None,
        description="The stack ends after so many hours whatever its method; to get there is a failure. 24 "
        "by default, and at-fixed-time's own limit if that is longer.",
    )
    grace_seconds: int = Field(
        default=120,
        strict=True,
        ge=1,
        le=3600,
        description="The script is asked to end (SIGTERM) so long before the deadline.",
    )
    upload_every_seconds: int = Field(
        default=30, strict=True, ge=1, le=3600, description="How often log and output go to S3."
    )
    log_limit_mb: int = Field(
        default=256, strict=True, ge=1, le=10_240, description="More than this of the log is not kept."
    )
    arguments: tuple[Annotated[str, Field(pattern=r"^[^\x00]*$")], ...] = Field(
        default=(), max_length=50, description="Arguments of the script. They can be read on S3: no secrets."
    )
    tags: dict[str, str] = Field(default={}, max_length=30, description="Tags of the stack and all in it.")
    detach_on_kill: bool = Field(
        default=False,
        strict=True,
        description="Killing the Airflow task leaves the stack running to its own end.",
    )

    @model_validator(mode="before")
    @classmethod
    def _other_spellings(cls, content: Any) -> Any:
        return _respelt(content) if isinstance(content, Mapping) else content

    @field_validator("training_script_filename")
    @classmethod
    def _stays_in_its_folder(cls, name: str) -> str:
        parts = PurePosixPath(name).parts
        if (
            name.startswith("/")
            or name.endswith("/")
            or ".." in parts
            or not parts
            or set(name) & set("\\\0")
        ):
            raise ValueError(f"{name!r} leads out of the folder of scripts: give a path below it")
        return name

    @field_validator("read_prefixes")
    @classmethod
    def _are_folders(cls, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        if len("".join(prefixes)) > _PREFIXES_LIMIT:
            raise ValueError(f"together they are longer than {_PREFIXES_LIMIT} characters")
        for prefix in prefixes:
            if not prefix.endswith("/") or prefix.startswith("/") or any(c in prefix for c in "*?,${"):
                raise ValueError(f"{prefix!r} is no prefix: write folder/, with a slash at its end")
        return prefixes

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        for key, value in tags.items():
            within = 1 <= len(key) <= 128 and 1 <= len(value) <= 256
            if not within or not re.fullmatch(_TAG, key + value):
                raise ValueError(f"AWS does not take the tag {key!r}")
            if key.lower().startswith(("aws:", "vigil:")):
                raise ValueError(
                    f"the tag {key!r} is reserved: names that begin with aws: or vigil: are taken"
                )
        return tags

    @model_validator(mode="after")
    def _has_its_limit(self) -> Self:
        method = self.termination_method
        if method is TerminationMethod.AT_FIXED_TIME and self.time_limit is None:
            raise ValueError("at-fixed-time needs time-limit in termination-options: hours, as in 1.5")
        if method is TerminationMethod.AROUND_COST_THRESHOLD and self.cost_limit is None:
            raise ValueError("around-cost-threshold needs cost-limit in termination-options: USD, as in 20")
        if method is TerminationMethod.AT_FIXED_TIME and (self.time_limit or 0) > self.longest_h:
            raise ValueError(
                f"time-limit ({self.time_limit:g} h) is longer than maximum-hours "
                f"({self.longest_h:g} h): lower the one or raise the other"
            )
        if self.spot_max_price is not None and self.purchase != "spot":
            raise ValueError("spot-max-price is of spot instances: set purchase to spot, or leave it out")
        return self

    @property
    def longest_h(self) -> float:
        """Return the hours after which the stack ends whatever its method."""
        if self.maximum_hours is not None:
            return self.maximum_hours
        fixed = self.termination_method is TerminationMethod.AT_FIXED_TIME
        return max(DEFAULT_MAXIMUM_H, self.time_limit or 0) if fixed else DEFAULT_MAXIMUM_H

    def to_json(self) -> dict[str, Any]:
        """Return the configuration with its keys as they are in a file."""
        return self.model_dump(mode="json", by_alias=True)


def _respelt(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in the one spelling that the model knows, its limits beside the other keys."""
    options = content.get(_OPTIONS, {})
    if not isinstance(options, Mapping):
        raise ValueError(f"{_OPTIONS} holds time-limit and cost-limit: write it as an object")
    respelt: dict[str, Any] = {}
    beside = {key: value for key, value in content.items() if key != _OPTIONS}
    for key, value in (*beside.items(), *options.items()):
        name = _OTHER_SPELLINGS.get(str(key), str(key))
        if name in respelt and respelt[name] != value:
            raise ValueError(f"{name} is given twice, as {respelt[name]!r} and {value!r}: leave one out")
        respelt[name] = value
    method = respelt.get("termination-method")
    if isinstance(method, str):
        respelt["termination-method"] = _OTHER_METHODS.get(method, method)
    return respelt


def parse_config(said: Mapping[str, Mapping[str, Any]]) -> TrainingStackConfig:
    """Check what was said of a training stack.

    Args:
        said: content by who said it; later ones win, key by key.

    Raises:
        SettingsError: something is unknown, missing or cannot be used; the message names every one, and the
            schema.
    """
    what = f"the training stack of {' and '.join(said)}" if said else "the training stack"
    try:
        merged: dict[str, Any] = {}
        for content in said.values():
            merged |= _respelt(content)
        return TrainingStackConfig.model_validate(merged)
    except ValidationError as error:
        message = explain(error, what, TrainingStackConfig)
    except ValueError as error:
        message = f"{what[0].upper()}{what[1:]} cannot be used:\n- {error}."
    raise SettingsError(f"{message}\nThe schema is include/configs/{SCHEMA}.")


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of a training stack's configuration, as shipped beside the examples."""
    schema = TrainingStackConfig.model_json_schema(by_alias=True)
    properties = schema["properties"]
    method = properties["termination-method"]
    properties["termination-method"] = {
        "description": method["description"],
        "enum": [*(one.value for one in TerminationMethod), *_OTHER_METHODS],
    }
    del schema["$defs"]
    properties[_OPTIONS] = {
        "description": "What the termination methods go by; each takes its own and leaves the other.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: properties[name] for name in _LIMITS},
    }
    for other, name in _OTHER_SPELLINGS.items():
        properties[other] = properties[name]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A training stack: lambda-config.json and training-config.json in one",
        **{name: part for name, part in schema.items() if name != "title"},
    }


if __name__ == "__main__":
    (configs_dir() / SCHEMA).write_text(json.dumps(config_schema(), indent=2) + "\n", encoding="utf-8")

"""The CloudFormation templates: their order, what feeds each, and the Airflow options they set."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.errors import DeployError

FOLDER = Path(__file__).resolve().parent
# Each may use the outputs of those before it.
ORDER = (
    "network",
    "storage",
    "database",
    "pipeline",
    "training-stacks",
    "roles",
    "monitoring",
    "airflow",
)
_SUBSTITUTION = re.compile(r"\$\{([^}]+)\}")


# The one in C is ten times faster; not every machine has it.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """Reads YAML with CloudFormation's short forms, such as `!Ref`."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any = None
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


@dataclass(frozen=True)
class Template:
    """A CloudFormation template.

    Attributes:
        name: of its file, without the ending.
        body: its text.
        content: what it says, every function in its long form.
    """

    name: str
    body: str
    content: Mapping[str, Any]

    def missing(self, known: Mapping[str, str]) -> list[str]:
        """Return the names of parameters without a default that are not known."""
        declared = self.content.get("Parameters", {})
        return [name for name, one in declared.items() if name not in known and "Default" not in one]

    def parameters(self, known: Mapping[str, str]) -> dict[str, str]:
        """Pick the template's parameters from what is known, by name.

        Raises:
            DeployError: one without a default is not known; the message names it.
        """
        declared = self.content.get("Parameters", {})
        missing = self.missing(known)
        if missing:
            raise DeployError(
                f"{self.name}.yaml needs {', '.join(missing)}: an earlier stack has no output of that name, "
                "so say it in the environment's file."
            )
        return {name: known[name] for name in declared if name in known}


def read_template(name: str, folder: Path = FOLDER) -> Template:
    """Read `<folder>/<name>.yaml`."""
    return parse_template(name, (folder / f"{name}.yaml").read_text(encoding="utf-8"))


def parse_template(name: str, body: str) -> Template:
    """Read a template from its text."""
    return Template(name, body, yaml.load(body, _Loader))  # noqa: S506 - a SafeLoader with more tags


def stack_name(environment: str, template: str) -> str:
    """Return the name of the stack that an environment makes of a template."""
    return f"vigil-{environment}-{template}"


def substituted(text: str, values: Mapping[str, str]) -> str:
    """Return the text of an `Fn::Sub` with values put in, those such as `AWS::Region` by their own names.

    Raises:
        KeyError: a value is missing.
    """
    return _SUBSTITUTION.sub(lambda found: values[found[1]], text)


def airflow_options(known: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration options that `airflow.yaml` gives to Airflow, as `{"section.option": value}`.

    Args:
        known: parameters by name, such as outputs of stacks; the template's defaults hold for the others. An
            option that comes out empty is left out.

    Raises:
        DeployError: a parameter without a default is not known.
    """
    content = read_template("airflow").content
    defaults = {name: one["Default"] for name, one in content["Parameters"].items() if "Default" in one}
    values = {name: str(value) for name, value in {**defaults, **known}.items()}
    properties = content["Resources"]["Airflow"]["Properties"]
    options = {
        option: _resolve(option, value, values)
        for option, value in properties["AirflowConfigurationOptions"].items()
    }
    return {option: value for option, value in options.items() if value}


def vigil_settings(known: Mapping[str, str]) -> dict[str, str]:
    """Return those options that are Vigil's own settings, without their section."""
    prefix = "vigil."
    options = airflow_options(known)
    return {name.removeprefix(prefix): value for name, value in options.items() if name.startswith(prefix)}


def _resolve(option: str, value: Any, values: Mapping[str, str]) -> str:
    """Work out a literal, a reference to a parameter, a text with such references, or none."""
    try:
        match value:
            case {"Fn::If": [_, given, {"Ref": "AWS::NoValue"}]}:
                return _resolve(option, given, values)
            case {"Ref": name}:
                return values[name]
            case {"Fn::Sub": str(text)}:
                return substituted(text, values)
    except KeyError as error:
        raise DeployError(f"The option {option} needs {error.args[0]}, which no stack has told.") from error
    if isinstance(value, dict | list):
        raise DeployError(
            f"airflow.yaml: {option} must be a text, !Ref, !Sub, or !If one or none, not {json.dumps(value)}."
        )
    return str(value)

"""Refuses a bad hyperparameter before a job is paid for, as far as the image is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from vigil.errors import SettingsError
from vigil.paths import configs_dir
from vigil.training.spec.part import Objective

_FILE = "hyperparameters.yaml"


@cache
def _known() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((configs_dir() / _FILE).read_text(encoding="utf-8"))
    return content


def check_hyperparameters(repository: str, values: Mapping[str, str], objective: Objective) -> None:
    """Check hyperparameters against `include/configs/hyperparameters.yaml`.

    Args:
        repository: name of the image's repository; one that is not in the file takes anything.
        values: as SageMaker takes them, by name.
        objective: of the model spec.

    Raises:
        SettingsError: something is unknown, missing, out of range or for another objective; the message names
            every one.
    """
    schema = _known().get(repository)
    if schema is None:
        return
    mistakes = list(_mistakes(schema, values, objective))
    if mistakes:
        lines = "\n".join(f"- {mistake}" for mistake in mistakes)
        raise SettingsError(f"The hyperparameters do not fit {repository}:\n{lines}")


def _mistakes(schema: dict[str, Any], values: Mapping[str, str], objective: Objective) -> Iterator[str]:
    for name in schema["required"]:
        if name not in values:
            yield f"{name} is not set: set it."
    for name, text in values.items():
        if name not in schema["properties"]:
            near = difflib.get_close_matches(name, schema["properties"], n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(schema['properties'])}."
            yield f"{name} is unknown: {hint}"
            continue
        for error in Draft202012Validator(schema["properties"][name]).iter_errors(_read(text)):
            yield f"{name}: {error.message}."
    choice = schema["for_objective"]
    given = values.get(choice["name"])
    fitting = choice[objective]
    if given is not None and given not in fitting:
        yield (
            f"{choice['name']} is {given}, and the model spec's objective is {objective}: take one of "
            f"{', '.join(fitting)}."
        )
    for name in schema.get("required_for", {}).get(given, []):
        if name not in values:
            yield f"{name} is not set, and {given} needs it: set it."


def _read(text: str) -> Any:
    """Return what a string means to the algorithm: a number, true or false, or the string itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

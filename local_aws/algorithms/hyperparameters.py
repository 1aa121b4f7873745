"""Hyperparameters as data: type, range and default of each, checked in the cloud's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.algorithms.contract import UserError


@dataclass(frozen=True)
class Kind:
    """What one hyperparameter may be."""

    parse: Callable[[str], Any]
    range_text: str = ""
    allowed: Callable[[Any], bool] = lambda value: True
    required: bool = False


def integer(low: int, high: int | None = None, *, required: bool = False) -> Kind:
    """Allow whole numbers of a range."""
    return Kind(
        int,
        f"[{low}, {'inf' if high is None else high}]",
        lambda value: low <= value and (high is None or value <= high),
        required,
    )


def number(low: float = float("-inf"), high: float = float("inf")) -> Kind:
    """Allow numbers of a range."""
    return Kind(float, f"[{low:g}, {high:g}]", lambda value: low <= value <= high)


def one_of(*names: str, required: bool = False) -> Kind:
    """Allow some names only."""
    return Kind(str, f"[{', '.join(names)}]", lambda value: value in names, required)


def text() -> Kind:
    """Allow anything."""
    return Kind(str)


def parse_all(kinds: Mapping[str, Kind], given: Mapping[str, str]) -> dict[str, Any]:
    """Parse what was given; refuse what is unknown, missing or out of its range."""
    extraneous = given.keys() - kinds.keys()
    if extraneous:
        raise UserError(f"Extraneous hyperparameter found: {min(extraneous)}")
    missing = [name for name, kind in kinds.items() if kind.required and name not in given]
    if missing:
        raise UserError(f"Missing required hyperparameter: {missing[0]}")
    return {name: _parse(name, kinds[name], value) for name, value in given.items()}


def _parse(name: str, kind: Kind, given: str) -> Any:
    try:
        value = kind.parse(given)
    except ValueError as error:
        raise UserError(f"Hyperparameter {name}: could not parse value {given!r}") from error
    if not kind.allowed(value):
        raise UserError(f"Hyperparameter {name}: {given} is not in {kind.range_text}")
    return value

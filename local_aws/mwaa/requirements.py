"""What MWAA makes of requirements.txt."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement

# A comment counts too: that is how MWAA looks for it.
_OWN_CONSTRAINTS = re.compile(r"-c |--constraint ")
_COMMENT = re.compile(r"(^|\s)#.*$")


def takes_airflows_constraints(text: str) -> bool:
    """Tell whether MWAA holds a requirements.txt to Airflow's constraints: unless it names some itself."""
    return not any(_OWN_CONSTRAINTS.search(line) for line in text.splitlines())


def requirements_in(text: str) -> list[Requirement]:
    """Return the packages that a requirements.txt names.

    Raises:
        ValueError: a line is neither a requirement nor an option.
    """
    found = []
    for line in text.splitlines():
        wanted = _COMMENT.sub("", line).strip()
        if not wanted or wanted.startswith("-"):
            continue
        try:
            found.append(Requirement(wanted))
        except InvalidRequirement as error:
            raise ValueError(f"requirements.txt: {wanted!r} is no requirement: {error}") from error
    return found


def unmet_requirements(text: str) -> list[str]:
    """Return what this interpreter lacks of a requirements.txt, each with what there is instead."""
    return [problem for wanted in requirements_in(text) if (problem := _problem(wanted))]


def _problem(wanted: Requirement) -> str:
    if wanted.marker and not wanted.marker.evaluate():
        return ""
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted}: not installed"
    return "" if wanted.specifier.contains(found, prereleases=True) else f"{wanted}: {found} is installed"

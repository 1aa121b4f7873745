"""Reads the scope of a database grant."""

from __future__ import annotations

import re

_PART = re.compile(r"\\(?P<escaped>.)|(?P<wildcard>[%_])|(?P<plain>.)")
_WILDCARDS = {"%": ".*", "_": "."}


def covers(scope: str, schema: str) -> bool:
    """Tell whether a grant's scope holds the tables of a schema.

    Args:
        scope: as `SHOW GRANTS` tells it; `%` and `_` in it are wildcards unless a backslash is before them.
        schema: its name.
    """
    name, _, table = scope.replace("`", "").rpartition(".")
    if table != "*":
        return False
    return name == "*" or re.fullmatch(_PART.sub(_pattern_of, name), schema) is not None


def _pattern_of(part: re.Match[str]) -> str:
    return _WILDCARDS.get(part["wildcard"]) or re.escape(part["escaped"] or part["plain"])

"""What runs of DAGs in the test process share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

_check_schema = Draft202012Validator.check_schema
_checked: set[str] = set()


@pytest.fixture(autouse=True)
def _schemas_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow looks at each param again for every operator of a DAG, and its schema would be checked anew."""
    monkeypatch.setattr(Draft202012Validator, "check_schema", staticmethod(_check_once))


def _check_once(schema: Any, **options: Any) -> None:
    text = json.dumps(schema, sort_keys=True)
    if text not in _checked:
        _check_schema(schema, **options)
        _checked.add(text)

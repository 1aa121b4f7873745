from __future__ import annotations

import pytest
from pydantic import ValidationError

from vigil.health_limits import HealthLimits


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("wape_factor", 0.9, "better than its evaluation promised: set it above 1"),
        ("least_windows", 289, "more than the 288 windows of a day.*lower it"),
        ("days", 29, "longer than the 28 days that are looked back on: lower it"),
        ("coverage_below", 1.5, "less than 1"),
        ("wape", 1.5, "Extra inputs are not permitted"),
    ],
)
def test_what_is_unknown_or_contradictory_is_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HealthLimits.model_validate({field: value})

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from local_aws.sagemaker.guardrails import read_guardrails
from vigil.release.shifting import Shifting as Request
from vigil.training.spec.endpoint import Endpoint, Shifting

TRAFFIC = st.sampled_from(["all_at_once", "canary", "linear"])


@example("linear", 10, 34, 0, 600, 19)
@given(
    TRAFFIC,
    st.none() | st.integers(1, 50),
    st.integers(0, 3600),
    st.integers(0, 3600),
    st.integers(600, 14400),
    st.integers(2, 40),
)
def test_what_the_spec_accepts_is_not_refused_after_the_training(
    traffic: str, step: int | None, wait_s: int, bake_s: int, longest_s: int, count: int
) -> None:
    try:
        endpoint = Endpoint.model_validate(
            {
                "name": "small",
                "instance_type": "ml.m5.large",
                "instance_count": count,
                "shifting": {
                    "traffic": traffic,
                    "step_percent": step,
                    "wait_s": wait_s,
                    "bake_s": bake_s,
                    "longest_s": longest_s,
                },
            }
        )
    except ValidationError:
        return
    config = Request(**endpoint.shifting.model_dump()).deployment_config()
    plan = [{"VariantName": "v1", "InitialInstanceCount": count}]
    assert read_guardrails(config or {}, plan).parts[-1] == 1


@pytest.mark.parametrize(
    ("traffic", "step", "wait_s", "bake_s", "waits_s"),
    [("linear", 10, 600, 0, 5400), ("linear", 30, 1000, 700, 3700), ("canary", 10, 600, 3000, 3600)],
)
def test_waits_that_take_as_long_as_the_whole_may_are_refused(
    traffic: str, step: int, wait_s: int, bake_s: int, waits_s: int
) -> None:
    with pytest.raises(
        ValidationError, match=rf"\({waits_s} s together\) do not fit into longest_s \(3600 s\)"
    ):
        Shifting.model_validate(
            {"traffic": traffic, "step_percent": step, "wait_s": wait_s, "bake_s": bake_s}
        )

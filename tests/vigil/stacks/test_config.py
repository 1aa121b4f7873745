"""Both configuration files, key for key, and what is refused of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from vigil.errors import SettingsError
from vigil.paths import configs_dir
from vigil.stacks.config import (
    SCHEMA,
    TerminationMethod,
    TrainingStackConfig,
    config_schema,
    parse_config,
)
from vigil.stacks.files import find_script

# As the two files of Parris stand in its documentation.
LAMBDA_CONFIG = {
    "lambda-role-arn": "arn:aws:iam::277012880214:role/Lambda_CFN_CreateAndValidate",
    "s3_training_bucket": "com.example.mlbucket",
}
TRAINING_CONFIG = {
    "training-job-name": "Test-Training-Job",
    "termination-method": "around-cost-threshold",
    "termination-options": {"time-limit": 10.0, "cost-limit": 300},
    "training-script-filename": "trainer-script.sh",
    "stack-replacement": True,
}


def parse(**changes: Any) -> TrainingStackConfig:
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return parse_config({"a file": TRAINING_CONFIG | named})


def refusal(**changes: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        parse(**changes)
    return str(refused.value)


def test_the_two_files_are_read_key_for_key() -> None:
    config = parse_config({"lambda-config.json": LAMBDA_CONFIG, "training-config.json": TRAINING_CONFIG})
    assert config.lambda_role_arn == LAMBDA_CONFIG["lambda-role-arn"]
    assert config.s3_training_bucket == "com.example.mlbucket"
    assert config.training_job_name == "Test-Training-Job"
    assert config.termination_method is TerminationMethod.AROUND_COST_THRESHOLD
    assert config.time_limit == 10.0
    assert config.cost_limit == 300
    assert config.training_script_filename == "trainer-script.sh"
    assert config.stack_replacement is True


def test_keys_are_known_under_their_other_spelling_too() -> None:
    spelt = {
        "lambda_role_arn": LAMBDA_CONFIG["lambda-role-arn"],
        "s3-training-bucket": "com.example.mlbucket",
    }
    one = parse_config({"a": LAMBDA_CONFIG, "b": TRAINING_CONFIG})
    assert parse_config({"a": spelt, "b": TRAINING_CONFIG}) == one


@pytest.mark.parametrize(
    ("alias", "method"),
    [("training-completion", "on-complete"), ("around-cost", "around-cost-threshold")],
)
def test_methods_have_another_name(alias: str, method: str) -> None:
    assert parse(termination_method=alias).termination_method.value == method


def test_limits_may_stand_flat() -> None:
    flat = {key: value for key, value in TRAINING_CONFIG.items() if key != "termination-options"}
    assert parse_config({"a": flat | {"time-limit": 10.0, "cost-limit": 300}}) == parse()


def test_a_limit_given_twice_and_differently_is_refused() -> None:
    said = TRAINING_CONFIG | {"time-limit": 9}
    with pytest.raises(SettingsError, match="time-limit is given twice"):
        parse_config({"a": said})


def test_the_form_wins_key_by_key_and_limit_by_limit() -> None:
    config = parse_config(
        {"a file": TRAINING_CONFIG, "the trigger form": {"cost-limit": 5, "stack-replacement": False}}
    )
    assert config.cost_limit == 5
    assert config.time_limit == 10.0
    assert config.stack_replacement is False


def test_without_its_key_a_stack_is_not_replaced() -> None:
    config = {key: value for key, value in TRAINING_CONFIG.items() if key != "stack-replacement"}
    assert parse_config({"a": config}).stack_replacement is False


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "ten", "10", True, 1e9, None])
def test_a_cost_limit_that_is_none_is_refused_by_name(value: Any) -> None:
    assert "cost-limit" in refusal(termination_options={"cost-limit": value})


@pytest.mark.parametrize("value", [0, -0.5, math.nan, "an hour", False, 1e9])
def test_a_time_limit_that_is_none_is_refused_by_name(value: Any) -> None:
    said = {"termination_method": "at-fixed-time", "termination_options": {"time-limit": value}}
    assert "time-limit" in refusal(**said)


@pytest.mark.parametrize(
    ("method", "limit"), [("at-fixed-time", "time-limit"), ("around-cost-threshold", "cost-limit")]
)
def test_a_method_without_its_limit_is_refused_with_the_limit_it_needs(method: str, limit: str) -> None:
    assert f"needs {limit}" in refusal(termination_method=method, termination_options={})


def test_a_limit_that_the_method_does_not_use_is_allowed() -> None:
    assert parse(termination_method="on-complete").longest_h == 24


def test_a_time_limit_beyond_the_maximum_is_refused_with_both() -> None:
    message = refusal(termination_method="at-fixed-time", maximum_hours=2)
    assert "time-limit (10 h) is longer than maximum-hours (2 h)" in message


def test_a_long_time_limit_raises_the_maximum_that_nobody_set() -> None:
    options = {"time-limit": 48.0}
    assert parse(termination_method="at-fixed-time", termination_options=options).longest_h == 48


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("training-job-nam", "training-job-name"),
        ("termination-metod", "termination-method"),
        ("stack_replacement", "stack-replacement"),
        ("instance-typ", "instance-type"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one_and_the_schema(key: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"did you mean {near}") as refused:
        parse_config({"a file": TRAINING_CONFIG | {key: "x"}})
    assert "training-stack.schema.json" in str(refused.value)


def test_an_unknown_limit_is_refused_with_the_nearest_known_one() -> None:
    assert "did you mean cost-limit" in refusal(termination_options={"cost-limt": 3})


@pytest.mark.parametrize("name", ["../secret.sh", "/etc/passwd", "a/../../b.sh", "a\\b.sh", "folder/", ""])
def test_a_script_outside_its_folder_is_refused(name: str) -> None:
    assert "training-script-filename" in refusal(training_script_filename=name)


@pytest.mark.parametrize("name", ["1job", "job_one", "job.one", "", "x" * 61, "jöb", "a b"])
def test_a_name_that_cloudformation_would_refuse_is_refused_here(name: str) -> None:
    assert "training-job-name" in refusal(training_job_name=name)


@pytest.mark.parametrize("key", ["aws:x", "vigil:deadline", "Vigil:x", ""])
def test_a_reserved_tag_is_refused(key: str) -> None:
    assert "tag" in refusal(tags={key: "x"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("arguments", ["a\0b"]),
        ("tags", {"a": "b\n"}),
        ("tags", {"a": ""}),
        ("tags", {"a": "b, c"}),
        ("s3_training_bucket", "a..b"),
        ("training_script_filename", "."),
        ("read_prefixes", ["x" * 250 + "/"] * 9),
    ],
)
def test_what_aws_or_the_machine_could_not_take_is_refused(key: str, value: Any) -> None:
    assert key.replace("_", "-") in refusal(**{key: value})


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_stack_replacement_is_a_boolean(value: Any) -> None:
    assert "stack-replacement" in refusal(stack_replacement=value)


@pytest.mark.parametrize("prefix", ["/x/", "x", "x/*/", "a,b/", ""])
def test_a_prefix_that_would_read_more_than_it_says_is_refused(prefix: str) -> None:
    assert "read-prefixes" in refusal(read_prefixes=[prefix])


def test_the_shipped_schema_is_what_the_code_checks() -> None:
    shipped = json.loads((configs_dir() / SCHEMA).read_text(encoding="utf-8"))
    assert shipped == json.loads(json.dumps(config_schema()))


@pytest.mark.parametrize("content", [TRAINING_CONFIG, TRAINING_CONFIG | LAMBDA_CONFIG])
def test_the_schema_takes_what_the_code_takes(content: dict[str, Any]) -> None:
    jsonschema.validate(content, config_schema())


@pytest.mark.parametrize(
    "change",
    [{"cost-limt": 3}, {"termination-method": "never"}, {"stack-replacement": "yes"}, {"time-limit": 0}],
)
def test_the_schema_refuses_what_the_code_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        parse_config({"a file": TRAINING_CONFIG | change})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(TRAINING_CONFIG | change, config_schema())


def test_a_configuration_survives_its_way_from_task_to_task() -> None:
    config = parse(tags={"team": "ml"}, arguments=["--epochs", "3"], read_prefixes=["accepted/model/"])
    assert TrainingStackConfig.model_validate(json.loads(json.dumps(config.to_json()))) == config


def test_the_page_on_training_stacks_tells_of_every_key() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "training-stacks.md").read_text(encoding="utf-8")
    reference = page.partition("## Configuration reference")[2]
    assert [key for key in config_schema()["properties"] if f"`{key}`" not in reference] == []


def test_every_shipped_example_can_be_launched() -> None:
    examples = [file for file in (configs_dir() / "stacks").iterdir() if file.suffix == ".yaml"]
    assert examples
    for file in examples:
        config = parse_config({file.name: yaml.safe_load(file.read_text(encoding="utf-8"))})
        assert find_script(None, config.training_script_filename, config.s3_training_bucket)

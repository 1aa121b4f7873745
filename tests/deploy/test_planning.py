from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from deploy import planning
from deploy.code import EarlierCode
from deploy.code_bucket import Deployment
from deploy.environment import Environment
from deploy.errors import DeployError
from deploy.planning import Plan, draw_plan
from deploy.stacks import bring_about, delete_stack
from deploy.templates import ORDER, Template, read_template, stack_name
from tests.deploy.conftest import Client
from vigil.aws import Aws

TEMPLATE = """
Parameters:
  Environment:
    Type: String
  Seconds:
    Type: Number
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Ref Environment
      VisibilityTimeout: !Ref Seconds
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    (tmp_path / "queue.yaml").write_text(TEMPLATE)
    return read_template("queue", tmp_path)


@pytest.fixture
def stack(client: Client, template: Template) -> Iterator[str]:
    """The stack of an environment that is to be changed."""
    environment = f"p-{uuid4().hex[:8]}"
    name, cloudformation = stack_name(environment, template.name), client("cloudformation")
    bring_about(cloudformation, environment, template, {"Seconds": "1"}, 0.05)
    yield name
    delete_stack(cloudformation, name, 0.05)


@pytest.fixture
def draw(aws: Aws, stack: str, template: Template, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Plan]:
    """Draw the plan of that change."""
    monkeypatch.setattr(planning, "templates_of", lambda _: [template])
    environment = Environment(
        name=stack.split("-", 1)[1].removesuffix("-queue"),
        account="123456789012",
        region="eu-west-1",
        leave_out=frozenset(ORDER),
        parameters={"Seconds": 2},
    )
    return lambda: draw_plan(aws, environment, EarlierCode(Deployment("any", {})))


def change_sets(client: Client, stack: str) -> list[str]:
    found = client("cloudformation").list_change_sets(StackName=stack)["Summaries"]
    return [one["ChangeSetName"] for one in found]


def test_two_people_may_look_at_what_would_be_done_at_the_same_time(client, stack, draw, monkeypatch):
    described, of_the_other = planning._described, []

    def described_after_the_other(*given: Any) -> Iterator[Any]:
        monkeypatch.setattr(planning, "_described", described)
        of_the_other.append(draw())
        return described(*given)

    monkeypatch.setattr(planning, "_described", described_after_the_other)
    plan = draw()
    assert [change.name for change in plan.stacks[0].resources] == ["Queue"]
    assert of_the_other == [plan]
    assert change_sets(client, stack) == []


def test_a_preview_that_was_killed_is_in_nobodys_way_and_cleared_away_later(
    client, stack, draw, template, monkeypatch
):
    for name in ("vigil-preview-killed", "of-somebody"):
        client("cloudformation").create_change_set(
            StackName=stack,
            ChangeSetName=name,
            ChangeSetType="UPDATE",
            TemplateBody=template.body,
            Parameters=[
                {"ParameterKey": "Environment", "ParameterValue": "any"},
                {"ParameterKey": "Seconds", "ParameterValue": "3"},
            ],
        )
    plan = draw()
    assert sorted(change_sets(client, stack)) == ["of-somebody", "vigil-preview-killed"]
    monkeypatch.setattr(planning, "_LEFT_BEHIND", timedelta(0))
    assert draw() == plan
    assert change_sets(client, stack) == ["of-somebody"]


def test_a_network_stays_in_its_zones_though_the_regions_first_two_are_others(aws, client):
    environment = Environment(
        name=f"p-{uuid4().hex[:8]}",
        account="123456789012",
        region="eu-west-1",
        leave_out=frozenset(ORDER) - {"network"},
    )
    cloudformation, zones = client("cloudformation"), {"AvailabilityZones": "eu-west-1c,eu-west-1b"}
    bring_about(cloudformation, environment.name, read_template("network"), zones, 0.05)
    plan = draw_plan(aws, environment, EarlierCode(Deployment("any", {})))
    assert plan.stacks[0].resources == ()
    elsewhere = {"AvailabilityZones": "eu-west-1a,eu-west-1b"}
    moved = environment.model_copy(update={"parameters": elsewhere})
    plan = draw_plan(aws, moved, EarlierCode(Deployment("any", {})))
    assert any(change.replaced for change in plan.stacks[0].resources)
    delete_stack(cloudformation, stack_name(environment.name, "network"), 0.05)


def test_a_server_that_the_region_does_not_have_is_refused_before_anything_is_made(aws):
    environment = Environment(
        name=f"p-{uuid4().hex[:8]}",
        account="123456789012",
        region="eu-west-1",
        leave_out=frozenset(ORDER) - {"database"},
    )
    default = read_template("database").content["Parameters"]["EngineVersion"]["Default"]
    there = [default, "another"]
    asked = []

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked.append((params["body"]["Engine"], params["body"]["DBParameterGroupFamily"]))
        return SimpleNamespace(status_code=200), {"DBEngineVersions": [{"EngineVersion": v} for v in there]}

    aws.client("rds").meta.events.register("before-call.rds.DescribeDBEngineVersions", answer)
    code = EarlierCode(Deployment("any", {}))
    assert draw_plan(aws, environment, code).stacks[0].created
    there.pop(0)
    with pytest.raises(DeployError, match=f"no Aurora MySQL {default}: say one of another as EngineVersion"):
        draw_plan(aws, environment, code)
    assert asked == [("aurora-mysql", "aurora-mysql8.0")] * 2
    chosen = environment.model_copy(update={"parameters": {"EngineVersion": there[0]}})
    assert draw_plan(aws, chosen, code).stacks[0].created

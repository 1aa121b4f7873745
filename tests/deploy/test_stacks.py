from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy import stacks
from deploy.errors import DeployError
from deploy.stacks import (
    bring_about,
    change_stack,
    delete_stack,
    find_stack,
    refuse_unusable,
    stack_request,
)
from deploy.templates import Template, airflow_options, parse_template, read_template, stack_name
from tests.deploy.conftest import Client

TEMPLATE = """
Parameters:
  Environment:
    Type: String
  Seconds:
    Type: Number
  Topic:
    Type: String
    Default: ""
  Names:
    Type: CommaDelimitedList
    Default: a
Conditions:
  HasTopic: !Not [!Equals [!Ref Topic, ""]]
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub ${Environment}-queue
      VisibilityTimeout: !Ref Seconds
      Tags:
        - Key: names
          Value: !Join [" ", !Ref Names]
  Subscription:
    Type: AWS::SNS::Subscription
    Condition: HasTopic
    Properties:
      TopicArn: !Ref Topic
      Protocol: sqs
      Endpoint: !GetAtt Queue.Arn
Outputs:
  QueueUrl:
    Value: !Ref Queue
"""
NOBODY = {"Seconds": "1", "Topic": "arn:aws:sns:eu-west-1:123456789012:nobody"}


@pytest.fixture
def template(tmp_path: Path) -> Template:
    (tmp_path / "queue.yaml").write_text(TEMPLATE)
    return read_template("queue", tmp_path)


@pytest.fixture
def environment(client: Client) -> Iterator[str]:
    name = f"s-{uuid4().hex[:8]}"
    yield name
    delete_stack(client("cloudformation"), stack_name(name, "queue"), 0.05)


@pytest.fixture
def bring(client: Client, environment: str, template: Template) -> Any:
    cloudformation = client("cloudformation")
    return lambda **known: bring_about(cloudformation, environment, template, known, 0.05)


def test_a_stack_is_created_then_updated_and_left_alone_when_nothing_changes(client, environment, bring):
    outputs = bring(Seconds="10", SomethingElse="is nobody's business")
    assert bring(Seconds="10") == outputs
    assert bring(Seconds="20") == outputs
    sqs = client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=outputs["QueueUrl"], AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"] == {"VisibilityTimeout": "20"}
    stack = find_stack(client("cloudformation"), stack_name(environment, "queue"))
    assert stack["Tags"] == [{"Key": "vigil:environment", "Value": environment}]


def test_a_parameter_is_changed_and_the_template_stays_what_it_was(client, environment, bring):
    bring(Seconds="1", Names="a,b")
    change_stack(client("cloudformation"), stack_name(environment, "queue"), None, {"Seconds": "2"}, 0.05)
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=f"{environment}-queue")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "2"
    body = client("cloudformation").get_template(StackName=stack_name(environment, "queue"))["TemplateBody"]
    assert "VisibilityTimeout" in str(body)
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"]["names"] == "a b"
    change_stack(client("cloudformation"), stack_name(environment, "queue"), None, {"Seconds": "2"}, 0.05)


def test_a_stack_goes_back_to_an_earlier_template_and_keeps_the_values_that_it_has(
    client, environment, bring
):
    bring(Seconds="3", Names="a,b")
    names = "  Names:\n    Type: CommaDelimitedList\n    Default: a\n"
    assert names in TEMPLATE
    earlier = TEMPLATE.replace(names, "").replace('!Join [" ", !Ref Names]', "a")
    before = parse_template("queue", earlier.replace("VisibilityTimeout", "DelaySeconds"))
    change_stack(client("cloudformation"), stack_name(environment, "queue"), before, {}, 0.05)
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=f"{environment}-queue")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]
    assert attributes == {"DelaySeconds": "3"}


def test_an_update_that_could_not_be_taken_back_is_not_to_be_deleted(client, environment, bring):
    bring(Seconds="1")
    stack = find_stack(client("cloudformation"), stack_name(environment, "queue"))
    with pytest.raises(DeployError, match="continue-update-rollback"):
        refuse_unusable(client("cloudformation"), {**stack, "StackStatus": "UPDATE_ROLLBACK_FAILED"})


def test_a_parameter_that_nobody_tells_is_named(bring):
    with pytest.raises(DeployError, match=r"queue\.yaml needs Seconds: .*environment's file"):
        bring()


def test_a_creation_that_failed_says_why_and_the_next_one_begins_anew(bring):
    with pytest.raises(DeployError, match=r"ROLLBACK_COMPLETE.*Subscription: .*Topic does not exist"):
        bring(**NOBODY)
    assert bring(Seconds="1")


@pytest.fixture
def seen_as(client: Client) -> Iterator[Callable[[str, range], None]]:
    """Let stacks be seen in another status, at some of the looks."""
    events, undo = client("cloudformation").meta.events, []

    def see(status: str, looks: range) -> None:
        numbers = count()

        def seen(parsed: dict[str, Any], **_: Any) -> None:
            if next(numbers) in looks:
                parsed["Stacks"][0]["StackStatus"] = status

        events.register("after-call.cloudformation.DescribeStacks", seen)
        undo.append(lambda: events.unregister("after-call.cloudformation.DescribeStacks", seen))

    yield see
    for one in undo:
        one()


def test_a_creation_that_is_still_being_taken_back_is_waited_for_and_begun_anew(bring, seen_as):
    with pytest.raises(DeployError):
        bring(**NOBODY)
    seen_as("ROLLBACK_IN_PROGRESS", range(2))
    assert bring(Seconds="1")


@pytest.mark.parametrize("looks", [range(100), range(1, 100)], ids=["of somebody", "of our own"])
def test_what_goes_on_for_too_long_is_told_to_go_on_and_not_taken_for_a_failure(
    bring, seen_as, monkeypatch, looks
):
    bring(Seconds="1")
    monkeypatch.setattr(stacks, "_WAIT_LIMIT_S", 0.1)
    seen_as("UPDATE_IN_PROGRESS", looks)
    with pytest.raises(DeployError, match=r"is still UPDATE_IN_PROGRESS after .*goes on by itself"):
        bring(Seconds="2")


def test_an_update_that_failed_says_why_and_what_was_goes_on(bring):
    outputs = bring(Seconds="1")
    with pytest.raises(
        DeployError, match=r"UPDATE_ROLLBACK_COMPLETE: .*Subscription: .*Topic does not exist"
    ):
        bring(**NOBODY)
    assert bring(Seconds="1") == outputs


def test_a_change_set_that_nobody_executed_stands_in_nobodys_way(bring, client, environment, template):
    request = stack_request(environment, template, {"Seconds": "1"})
    client("cloudformation").create_change_set(**request, ChangeSetName="look", ChangeSetType="CREATE")
    assert bring(Seconds="1")


def test_airflows_options_need_every_parameter_of_theirs():
    with pytest.raises(DeployError, match=r"The option vigil\.\w+ needs \w+, which no stack has told"):
        airflow_options({})

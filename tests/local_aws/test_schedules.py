from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError
from local_aws_support import running, wait_until
from test_faults import manage, throttle

from local_aws.scheduler.expressions import timetable

ACCOUNT = "123456789012"
OFF = {"Mode": "OFF"}
SCHEDULER = "scheduler.amazonaws.com"
# Far enough ahead for a few calls to be through before it, on a machine with other work too.
AHEAD_S = 6


def trust(service: str = SCHEDULER, **condition: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    conditions = {"Condition": condition} if condition else {}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | conditions]})


def make_role(iam: Any, name: str, document: str | None = None) -> str:
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document or trust())
    return str(made["Role"]["Arn"])


@pytest.fixture
def role(client: Any, name: str) -> str:
    return make_role(client("iam"), name)


@pytest.fixture
def queue(client: Any, name: str) -> str:
    return str(client("sqs").create_queue(QueueName=name)["QueueUrl"])


@pytest.fixture
def scheduler(client: Any) -> Any:
    return client("scheduler")


def arn_of(queue_url: str) -> str:
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue_url.rsplit('/', 1)[1]}"


def at(seconds: float, zone: str = "UTC") -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"at({moment.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M:%S})"


def send(queue_url: str, role: str, text: str = "now", **changes: Any) -> dict[str, Any]:
    """A target that puts a message into a queue."""
    given = json.dumps({"QueueUrl": queue_url, "MessageBody": text})
    return {
        "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
        "RoleArn": role,
        "Input": given,
    } | changes


def create(scheduler: Any, name: str, target: dict[str, Any], when: str | None = None, **changes: Any) -> str:
    given = {
        "Name": name,
        "ScheduleExpression": when or at(1),
        "FlexibleTimeWindow": OFF,
        "Target": target,
    }
    return str(scheduler.create_schedule(**given | changes)["ScheduleArn"])


def arrived(sqs: Any, queue_url: str, wait_s: int = 20, **options: Any) -> list[Any]:
    given = {"QueueUrl": queue_url, "WaitTimeSeconds": wait_s, "MaxNumberOfMessages": 10}
    messages = list(sqs.receive_message(**given | options).get("Messages", []))
    for message in messages:
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return messages


def bodies(sqs: Any, queue_url: str, wait_s: int = 20) -> list[str]:
    return [message["Body"] for message in arrived(sqs, queue_url, wait_s)]


def refusal(caught: Any) -> tuple[str, str]:
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_schedule_fires_once_at_its_time(scheduler, client, name, queue, role, zone):
    due = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    when = f"at({due.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M:%S})"
    create(scheduler, name, send(queue, role), when, ScheduleExpressionTimezone=zone)
    (message,) = arrived(client("sqs"), queue, AttributeNames=["SentTimestamp"])
    late_s = int(message["Attributes"]["SentTimestamp"]) / 1000 - due.timestamp()
    assert message["Body"] == "now"
    assert 0 <= late_s < 60
    assert bodies(client("sqs"), queue, 1) == []
    assert scheduler.get_schedule(Name=name)["State"] == "ENABLED"


def test_a_disabled_schedule_does_not_fire_until_it_is_enabled(scheduler, client, name, queue, role):
    target, when = send(queue, role), at(0)
    create(scheduler, name, target, when, State="DISABLED")
    assert bodies(client("sqs"), queue, 1) == []
    given = {"Name": name, "FlexibleTimeWindow": OFF, "Target": target}
    scheduler.update_schedule(ScheduleExpression=when, **given)
    assert bodies(client("sqs"), queue) == ["now"]


def test_a_new_time_arms_a_schedule_anew(scheduler, client, name, queue, role):
    sqs, target = client("sqs"), send(queue, role)
    create(scheduler, name, target, at(0))
    assert bodies(sqs, queue) == ["now"]
    given = {"Name": name, "FlexibleTimeWindow": OFF}
    scheduler.update_schedule(ScheduleExpression=at(1), Target=target, **given)
    assert bodies(sqs, queue) == ["now"]
    scheduler.update_schedule(ScheduleExpression=at(3600), Target=target, **given)
    scheduler.update_schedule(
        ScheduleExpression=at(1), Target=send(queue, role, "sooner"), ActionAfterCompletion="DELETE", **given
    )
    assert bodies(sqs, queue) == ["sooner"]


def test_a_schedule_is_removed_after_its_completion_if_asked(scheduler, client, name, queue, role):
    create(scheduler, name, send(queue, role), ActionAfterCompletion="DELETE")
    assert bodies(client("sqs"), queue) == ["now"]
    wait_until(lambda: not scheduler.list_schedules(NamePrefix=name)["Schedules"])


def test_a_deleted_schedule_does_not_fire(scheduler, client, name, queue, role):
    create(scheduler, name, send(queue, role), at(AHEAD_S))
    create(scheduler, f"{name}-later", send(queue, role, "later"), at(AHEAD_S + 1))
    scheduler.delete_schedule(Name=name)
    assert bodies(client("sqs"), queue) == ["later"]


def test_a_rate_fires_first_when_it_starts(scheduler, client, name, queue, role):
    # A start that has passed when the schedule is made would be an hour late.
    start = datetime.now(UTC) + timedelta(seconds=AHEAD_S)
    create(scheduler, name, send(queue, role), "rate(1 hour)", StartDate=start)
    assert bodies(client("sqs"), queue) == ["now"]
    over = f"{name}-over"
    end = datetime.now(UTC) - timedelta(hours=1)
    create(scheduler, over, send(queue, role), "rate(1 minute)", StartDate=end, EndDate=end)
    assert bodies(client("sqs"), queue, 1) == []


def test_of_the_moments_that_a_rate_missed_only_the_last_is_made_up_for():
    rate = timetable("rate(10 minutes)", "UTC", armed_at=1000)
    assert [rate.latest(now) for now in (1599, 1600, 2199, 5000)] == [None, 1600, 1600, 4600]
    assert [rate.following(now) for now in (1000, 1600, 5000)] == [1600, 2200, 5200]
    begun_long_ago = timetable("rate(10 minutes)", "UTC", armed_at=5000, start=1000, end=5400)
    assert [begun_long_ago.latest(now) for now in (5000, 5200, 9000)] == [None, 5200, 5200]
    assert [begun_long_ago.following(now) for now in (5000, 5200)] == [5200, None]


def test_queues_topics_and_buses_are_targets_too(scheduler, client, name, queue, role):
    sqs, sns, events = client("sqs"), client("sns"), client("events")
    create(scheduler, f"{name}-sqs", {"Arn": arn_of(queue), "RoleArn": role, "Input": "to a queue"}, at(0))
    assert bodies(sqs, queue) == ["to a queue"]
    arn = create(scheduler, f"{name}-event", {"Arn": arn_of(queue), "RoleArn": role}, at(0))
    event = json.loads(bodies(sqs, queue)[0])
    assert (event["source"], event["resources"]) == ("aws.scheduler", [arn])
    topic = sns.create_topic(Name=name)["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn_of(queue), Attributes=raw)
    create(scheduler, f"{name}-sns", {"Arn": topic, "RoleArn": role, "Input": "to a topic"}, at(0))
    assert bodies(sqs, queue) == ["to a topic"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn_of(queue)}])
    target = {
        "Arn": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default",
        "RoleArn": role,
        "Input": '{"a": 1}',
        "EventBridgeParameters": {"DetailType": "Test", "Source": name},
    }
    create(scheduler, f"{name}-bus", target, at(0))
    assert json.loads(bodies(sqs, queue)[0])["detail"] == {"a": 1}


def test_the_input_may_name_the_schedule_and_its_time(scheduler, client, name, queue, role):
    words = "<aws.scheduler.schedule-arn> <aws.scheduler.scheduled-time> <aws.scheduler.attempt-number>"
    when = at(0)
    arn = create(scheduler, name, send(queue, role, words), when)
    assert bodies(client("sqs"), queue) == [f"{arn} {when[3:-1]}Z 1"]


def test_a_schedule_deletes_a_stack_that_it_lies_in(scheduler, client, name, role):
    stacks = client("cloudformation")
    stacks.describe_stacks()  # the first call of it takes a while
    target = {
        "Arn": "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack",
        "RoleArn": role,
        "Input": {"Fn::Sub": '{"StackName": "${AWS::StackName}"}'},
        "RetryPolicy": {"MaximumRetryAttempts": "5", "MaximumEventAgeInSeconds": "3600"},
    }
    properties = {
        "GroupName": {"Ref": "Group"},
        "ScheduleExpression": at(AHEAD_S),
        "FlexibleTimeWindow": OFF,
        "Target": target,
    }
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}},
        "Group": {
            "Type": "AWS::Scheduler::ScheduleGroup",
            "Properties": {"Name": name, "Tags": [{"Key": "a", "Value": "b"}]},
        },
        "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties},
    }
    outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Schedule", "Arn"]}}}
    body = {"Resources": resources, "Outputs": outputs}
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(body))
    stack = stacks.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    assert f":schedule/{name}/" in stack["Outputs"][0]["OutputValue"]
    group = scheduler.get_schedule_group(Name=name)["Arn"]
    assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == [{"Key": "a", "Value": "b"}]
    wait_until(lambda: gone(stacks, name))
    with pytest.raises(ClientError, match="does not exist"):
        client("sqs").get_queue_url(QueueName=name)
    with pytest.raises(ClientError, match="does not exist"):
        scheduler.get_schedule_group(Name=name)


def gone(stacks: Any, name: str) -> bool:
    try:
        stacks.describe_stacks(StackName=name)
    except ClientError as error:
        return "does not exist" in str(error)
    return False


def test_what_the_cloud_formation_of_the_cloud_does_not_know_is_refused(client, name, role):
    properties = {
        "ScheduleExpression": at(60),
        "FlexibleTimeWindow": OFF,
        "ActionAfterCompletion": "DELETE",
        "Target": {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:any", "RoleArn": role},
    }
    resources = {"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}}
    stacks = client("cloudformation")
    stacks.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
    stack = stacks.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "unsupported property ActionAfterCompletion" in stack["StackStatusReason"]


def test_a_target_that_fails_is_called_again_and_buried_at_last(scheduler, client, name, role):
    sqs = client("sqs")
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    target = send(f"http://127.0.0.1/{ACCOUNT}/{name}-nowhere", role) | {
        "RetryPolicy": {"MaximumRetryAttempts": 1},
        "DeadLetterConfig": {"Arn": arn_of(dead)},
    }
    arn = create(scheduler, name, target, at(0))
    (message,) = arrived(sqs, dead, MessageAttributeNames=["All"])
    assert message["Body"] == target["Input"]
    told = {key: one["StringValue"] for key, one in message["MessageAttributes"].items()}
    assert told["ERROR_CODE"].endswith("NonExistentQueue")
    assert told["ERROR_MESSAGE"]
    assert told["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert told["RETRY_ATTEMPTS"] == "1"
    assert told["IS_PAYLOAD_TRUNCATED"] == "false"
    assert (told["SCHEDULE_ARN"], told["TARGET_ARN"]) == (arn, target["Arn"])


def test_a_target_that_recovers_in_time_is_reached(local_aws, scheduler, client, name, queue, role):
    throttle(local_aws, "sqs", "SendMessage", times=2)
    try:
        create(scheduler, name, send(queue, role), at(0))
        assert bodies(client("sqs"), queue) == ["now"]
    finally:
        manage(local_aws, "DELETE")


def test_a_slow_target_holds_up_no_other(scheduler, client, name, queue, role):
    nowhere = f"http://127.0.0.1/{ACCOUNT}/{name}-nowhere"
    create(scheduler, f"{name}-a", send(nowhere, role), at(0))
    create(scheduler, f"{name}-b", send(queue, role), at(0))
    assert bodies(client("sqs"), queue) == ["now"]
    scheduler.delete_schedule(Name=f"{name}-a")


def test_a_role_that_is_gone_keeps_its_schedule_from_firing_until_it_is_back(
    scheduler, client, name, queue, role
):
    iam = client("iam")
    create(scheduler, name, send(queue, role), at(AHEAD_S))
    iam.delete_role(RoleName=name)
    assert bodies(client("sqs"), queue, AHEAD_S + 2) == []
    make_role(iam, name)
    assert bodies(client("sqs"), queue) == ["now"]


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        {"ArnLike": {"aws:SourceArn": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/*"}},
    ],
)
def test_a_role_may_be_for_the_schedules_of_one_account_or_group(scheduler, client, name, queue, condition):
    role = make_role(client("iam"), name, trust(**condition))
    create(scheduler, name, send(queue, role), at(3600))


@pytest.mark.parametrize(
    "document",
    [
        trust("lambda.amazonaws.com"),
        trust(StringEquals={"aws:SourceAccount": "210987654321"}),
        trust(ArnEquals={"aws:SourceArn": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/other"}),
        None,
    ],
)
def test_a_role_that_the_scheduler_cannot_assume_is_refused(scheduler, client, name, queue, document):
    if document:
        make_role(client("iam"), name, document)
    with pytest.raises(ClientError) as caught:
        create(scheduler, name, send(queue, f"arn:aws:iam::{ACCOUNT}:role/{name}"))
    assert refusal(caught) == (
        "ValidationException",
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ScheduleExpression": "cron(0 10 * * ? *)"}, r"knows at\(\) and rate\(\)"),
        ({"ScheduleExpression": "at(2030-13-01T00:00:00)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpression": "at(2030-01-01T00:00:00Z)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpression": "rate(0 minutes)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpressionTimezone": "Nowhere/Land"}, "Invalid Schedule Expression Timezone"),
        ({"Name": "bad name"}, "regular expression"),
    ],
)
def test_what_could_never_fire_is_refused(scheduler, name, queue, role, changes, message):
    with pytest.raises(ClientError, match=message) as caught:
        create(scheduler, **{"name": name, "target": send(queue, role)}, **changes)
    assert refusal(caught)[0] == "ValidationException"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Arn": "arn:aws:scheduler:::aws-sdk:nope:deleteStack"}, "nope"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:events:putEvents"}, "events is no service"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:sqs:explode"}, "explode"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:sqs:SendMessage"}, "camel case"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:sqs:receiveMessage"}, "only reads"),
        ({"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"}, "no target of the embedded AWS"),
        ({"Input": "{"}, "Invalid RequestJson"),
        ({"Input": '{"queueUrl": "u", "MessageBody": "b"}'}, "queueUrl is not known"),
        ({"Input": '{"QueueUrl": "u"}'}, "MessageBody"),
        ({"RetryPolicy": {"MaximumRetryAttempts": 186}}, "less than or equal to 185"),
        ({"RetryPolicy": {"MaximumEventAgeInSeconds": 59}}, "greater than or equal to 60"),
    ],
)
def test_a_target_that_the_cloud_would_not_call_is_refused(local_aws, name, queue, role, changes, message):
    from local_aws_support import make_client

    scheduler = make_client(local_aws, "scheduler", parameter_validation=False)
    with pytest.raises(ClientError, match=message) as caught:
        create(scheduler, name, send(queue, role) | changes)
    assert refusal(caught)[0] == "ValidationException"


def test_groups_are_there_once_and_take_their_schedules_with_them(scheduler, client, name, queue, role):
    with pytest.raises(ClientError, match=f"Schedule group {name} does not exist"):
        create(scheduler, name, send(queue, role), GroupName=name)
    scheduler.create_schedule_group(Name=name)
    with pytest.raises(ClientError, match="already exists"):
        scheduler.create_schedule_group(Name=name)
    create(scheduler, name, send(queue, role), at(AHEAD_S), GroupName=name)
    create(scheduler, name, send(queue, role, "later"), at(AHEAD_S + 1))
    scheduler.delete_schedule_group(Name=name)
    assert bodies(client("sqs"), queue) == ["later"]
    with pytest.raises(ClientError, match="does not exist"):
        scheduler.delete_schedule_group(Name=name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_due_while_the_server_was_down_fires_at_its_next_start_and_only_once(tmp_path, number):
    state_dir = tmp_path / "state"
    queue_name = f"q-{uuid4().hex[:8]}"
    with running(state_dir) as server:
        sqs, scheduler = server.client("sqs"), server.client("scheduler")
        queue = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
        role = make_role(server.client("iam"), "fires")
        create(scheduler, "before", send(queue, role, "before"), at(0))
        assert bodies(sqs, queue) == ["before"]
        due = datetime.now(UTC) + timedelta(seconds=10)
        create(scheduler, "meanwhile", send(queue, role, "meanwhile"), f"at({due:%Y-%m-%dT%H:%M:%S})")
        saved = state_dir / "moto.pickle"
        wait_until(lambda: saved.exists() and b"meanwhile" in saved.read_bytes())
        server.end(number)
    assert datetime.now(UTC) < due
    wait_until(lambda: datetime.now(UTC) >= due)
    with running(state_dir) as server:
        sqs = server.client("sqs")
        queue = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
        assert bodies(sqs, queue) == ["meanwhile"]
        assert bodies(sqs, queue, 1) == []
        server.end()
    with running(state_dir) as server:
        assert bodies(server.client("sqs"), queue.replace(*ports(queue, server.url)), 1) == []


def ports(queue: str, url: str) -> tuple[str, str]:
    return queue.split("/")[2], url.split("/")[2]


def test_what_was_interrupted_fires_again(tmp_path):
    state_dir = tmp_path / "state"
    with running(state_dir) as server:
        role = make_role(server.client("iam"), "fires")
        target = {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:later", "RoleArn": role, "Input": "again"}
        create(server.client("scheduler"), "retries", target, at(0))
        wait_until(lambda: b"attempt 1 failed" in server.log.read_bytes())
        server.end()
    with running(state_dir) as server:
        sqs = server.client("sqs")
        queue = sqs.create_queue(QueueName="later")["QueueUrl"]
        assert bodies(sqs, queue) == ["again"]


def test_what_the_patches_of_schedules_replace_is_still_there_in_moto():
    """A moto upgrade that renames one of these would leave a patch without effect."""
    from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule
    from moto.scheduler.responses import EventBridgeSchedulerResponse

    for name in ("create_schedule", "update_schedule", "create_schedule_group", "delete_schedule_group"):
        assert hasattr(EventBridgeSchedulerBackend, name)
    for name in ("update_schedule", "scheduler_backend"):
        assert hasattr(EventBridgeSchedulerResponse, name)
    assert hasattr(Schedule, "to_dict")

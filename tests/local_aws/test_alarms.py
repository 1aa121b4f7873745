from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from local_aws_support import wait_until
from moto.cloudwatch.models import Alarm, CloudWatchBackend

from local_aws.alarms.evaluation import ALARM, INSUFFICIENT_DATA, OK, Evaluation, Rule, Sample, evaluate
from local_aws.alarms.service import Alarms
from local_aws.clients import Clients

NOW = datetime(2026, 11, 2, 3, 7, 42, tzinfo=UTC).timestamp()
MINUTE = NOW // 60 * 60
FEW = settings(max_examples=40)
KEEP = "the state it was in"
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
STATES = (OK, ALARM, INSUFFICIENT_DATA)


def rule(periods: int = 3, to_alarm: int = 3, missing: str = "missing", **changes: Any) -> Rule:
    given = {"statistic": "Maximum", "period_s": 60, "comparison": "GreaterThanThreshold", "threshold": 10.0}
    return Rule(**{**given, "periods": periods, "to_alarm": to_alarm, "missing": missing, **changes})


def sample(value: float, age: int = 1, period_s: int = 60) -> Sample:
    """One value in the middle of a period; the newest has the age 1."""
    return Sample(MINUTE - (age - 0.5) * period_s, 1, value, value, value)


def points(drawn: str) -> list[Sample]:
    """Read datapoints as CloudWatch's guide draws them: 0 for one in bounds, X for one out of them."""
    marks = drawn.split()
    return [
        sample(20.0 if mark == "X" else 0.0, age)
        for age, mark in zip(range(len(marks), 0, -1), marks, strict=True)
        if mark != "-"
    ]


def state_of(asked: Rule, samples: list[Sample], before: str = INSUFFICIENT_DATA, now: float = NOW) -> str:
    return evaluate(asked, samples, now, before).state


@pytest.mark.parametrize(
    ("to_alarm", "drawn", "expected"),
    [
        # The two tables of the guide, by treatment in the order of TREATMENTS.
        (3, "0 - X - X", (OK, OK, OK, OK)),
        (3, "- - - - 0", (OK, OK, OK, OK)),
        (3, "- - - - -", (INSUFFICIENT_DATA, KEEP, ALARM, OK)),
        (3, "0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        (3, "- - X - -", (ALARM, KEEP, ALARM, OK)),
        (2, "0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 - X - -", (OK, OK, ALARM, OK)),
        (2, "- - - - 0", (OK, OK, ALARM, OK)),
        (2, "- - - X -", (ALARM, KEEP, ALARM, OK)),
        # Its examples of alarms that must not ring too early.
        (3, "- - - - X", (KEEP, KEEP, ALARM, OK)),
        (3, "- - - X -", (KEEP, KEEP, ALARM, OK)),
    ],
)
@pytest.mark.parametrize("before", STATES)
def test_missing_datapoints_are_treated_as_the_guide_says(to_alarm, drawn, expected, before):
    found = [
        state_of(rule(to_alarm=to_alarm, missing=missing), points(drawn), before) for missing in TREATMENTS
    ]
    assert found == [before if state == KEEP else state for state in expected]


series_of_marks = st.lists(st.sampled_from("0X-"), min_size=1, max_size=9).map(" ".join)
rules = st.integers(1, 6).flatmap(
    lambda periods: st.builds(
        rule,
        periods=st.just(periods),
        to_alarm=st.integers(1, periods),
        missing=st.sampled_from(TREATMENTS),
        period_s=st.just(60),
    )
)


@FEW
@given(rules, series_of_marks, st.sampled_from(STATES))
def test_one_more_breach_never_ends_an_alarm(asked, drawn, before):
    if state_of(asked, points(drawn), before) == ALARM:
        for place in range(0, len(drawn), 2):
            if drawn[place] == "0":
                worse = f"{drawn[:place]}X{drawn[place + 1 :]}"
                assert state_of(asked, points(worse), before) == ALARM


@FEW
@given(rules, series_of_marks, st.sampled_from(STATES))
def test_what_is_missing_weighs_between_breaching_and_not(asked, drawn, before):
    lenient, given, strict = (
        state_of(rule(asked.periods, asked.to_alarm, missing), points(drawn), before)
        for missing in ("notBreaching", asked.missing, "breaching")
    )
    if lenient == ALARM:
        assert given == ALARM or before == given
    if strict == OK:
        assert given in (OK, before)


@FEW
@given(rules, st.lists(st.sampled_from("0X"), min_size=9, max_size=9), st.sampled_from(STATES))
def test_without_gaps_the_newest_are_counted_and_nothing_else_matters(asked, marks, before):
    breaching = marks[-asked.periods :].count("X")
    expected = ALARM if breaching >= asked.to_alarm else OK
    assert state_of(asked, points(" ".join(marks))[::-1], before) == expected
    # The minute that has not passed, the future, and what is too old.
    others = [sample(value, age) for value in (0.0, 20.0) for age in (0, -5, 99)]
    assert state_of(asked, points(" ".join(marks)) + others, before) == expected
    assert state_of(asked, points(" ".join(marks)), before, MINUTE) == expected


@FEW
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=5), st.data())
def test_a_statistic_of_samples_is_that_of_their_values(values, data):
    cut = data.draw(st.integers(0, len(values)))
    together = [
        Sample(MINUTE - 30, len(part), sum(part), min(part), max(part))
        for part in (values[:cut], values[cut:])
        if part
    ]
    expected = {
        "Average": sum(values) / len(values),
        "Maximum": max(values),
        "Minimum": min(values),
        "SampleCount": len(values),
        "Sum": sum(values),
    }
    for statistic, value in expected.items():
        found = evaluate(rule(1, 1, statistic=statistic), together, NOW, OK)
        assert json.loads(found.data)["recentDatapoints"] == [pytest.approx(value)]


@pytest.mark.parametrize(
    ("comparison", "breached_by"),
    [
        ("GreaterThanThreshold", {11.0}),
        ("GreaterThanOrEqualToThreshold", {10.0, 11.0}),
        ("LessThanThreshold", {9.0}),
        ("LessThanOrEqualToThreshold", {9.0, 10.0}),
    ],
)
def test_comparisons_differ_at_the_threshold(comparison, breached_by):
    asked = rule(1, 1, comparison=comparison)
    assert {value for value in (9.0, 10.0, 11.0) if state_of(asked, [sample(value)]) == ALARM} == breached_by


def test_longer_periods_end_with_the_minute_that_has_passed():
    asked = rule(1, 1, period_s=300)
    assert state_of(asked, [Sample(MINUTE - 300, 1, 20, 20, 20)]) == ALARM
    assert state_of(asked, [Sample(MINUTE - 300, 1, 20, 20, 20), Sample(MINUTE - 1, 1, 0, 0, 0)]) == ALARM
    assert state_of(asked, [Sample(MINUTE - 301, 1, 20, 20, 20), Sample(MINUTE - 1, 1, 0, 0, 0)]) == OK


def test_the_reason_says_what_was_compared_and_what_was_missing():
    found = evaluate(rule(2, 2, "breaching"), [sample(20.0, 2)], NOW, OK)
    assert found.reason == (
        "Threshold Crossed: 1 of 1 datapoint was greater than the threshold (10.0)"
        " [20.0 (02/11/26 03:05:00)]; 1 datapoint was missing and treated as [Breaching]; 2 of 2 to alarm."
    )
    assert evaluate(rule(), [], NOW, OK).reason == "Insufficient Data: 3 datapoints were unknown."
    assert json.loads(found.data)["startDate"] == "2026-11-02T03:05:00.000+0000"


@pytest.fixture
def topic(client: Any, name: str) -> str:
    return str(client("sns").create_topic(Name=name)["TopicArn"])


@pytest.fixture
def told(client: Any, topic: str, name: str) -> Callable[[], list[dict[str, Any]]]:
    """What has come into a queue that is subscribed to the topic, since it was last asked."""
    queue = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def receive() -> list[dict[str, Any]]:
        found = client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for one in found:
            client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
        return [json.loads(one["Body"]) for one in found]

    return receive


@pytest.fixture
def put_alarm(client: Any, topic: str, name: str) -> Iterator[Callable[..., None]]:
    """Makes an alarm of the test's name, or changes it."""
    alarm = {
        "AlarmName": name,
        "Namespace": name,
        "MetricName": "errors",
        "Dimensions": [{"Name": "Endpoint", "Value": "one"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": [topic],
        "OKActions": [topic],
        "InsufficientDataActions": [topic],
    }
    yield lambda **changes: client("cloudwatch").put_metric_alarm(**alarm | changes)
    client("cloudwatch").delete_alarms(AlarmNames=[name])


def put_point(client: Any, name: str, value: float, minutes_ago: int = 1, **changes: Any) -> None:
    point = {
        "MetricName": "errors",
        "Dimensions": [{"Name": "Endpoint", "Value": "one"}],
        "Timestamp": datetime.now(UTC) - timedelta(minutes=minutes_ago),
        "Value": value,
    }
    client("cloudwatch").put_metric_data(Namespace=name, MetricData=[point | changes])


def described(client: Any, name: str) -> Any:
    return client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]


def becomes(client: Any, name: str, state: str) -> Any:
    return wait_until(lambda: (alarm := described(client, name))["StateValue"] == state and alarm)


def test_an_alarm_follows_its_metric_alone_and_tells_each_change_once(client, name, put_alarm, topic, told):
    put_alarm(AlarmDescription="what to do")
    assert described(client, name)["StateValue"] == INSUFFICIENT_DATA
    put_point(client, name, 20, Dimensions=[])
    put_point(client, name, 20, Dimensions=[{"Name": "Endpoint", "Value": "two"}])
    put_point(client, name, 0)
    becomes(client, name, OK)
    put_point(client, name, 5)
    ringing = becomes(client, name, ALARM)
    put_point(client, name, 6)
    put_point(client, name, -20)
    becomes(client, name, OK)
    notices: list[dict[str, Any]] = []
    wait_until(lambda: notices.extend(told()) or len(notices) >= 3)
    assert [one["Subject"] for one in notices] == [
        f'{state}: "{name}" in US East (N. Virginia)' for state in (OK, ALARM, OK)
    ]
    content = json.loads(notices[1]["Message"])
    assert content["AlarmDescription"] == "what to do"
    assert (content["OldStateValue"], content["NewStateValue"]) == (OK, ALARM)
    assert content["NewStateReason"] == ringing["StateReason"]
    assert content["StateChangeTime"][:19] == f"{ringing['StateUpdatedTimestamp']:%Y-%m-%dT%H:%M:%S}"
    assert content["AlarmActions"] == [topic]
    assert content["Trigger"]["Dimensions"] == [{"name": "Endpoint", "value": "one"}]
    assert content["Trigger"]["TreatMissingData"] == "missing"


def test_a_state_that_was_set_is_told_and_lasts_until_an_evaluation_says_otherwise(
    client, name, put_alarm, told
):
    put_alarm(TreatMissingData="ignore")
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=ALARM, StateReason="a test")
    assert [json.loads(one["Message"])["NewStateReason"] for one in wait_until(told)] == ["a test"]
    put_alarm(TreatMissingData="ignore", Threshold=2)
    kept = described(client, name)
    assert (kept["StateValue"], kept["StateReason"], kept["Threshold"]) == (ALARM, "a test", 2)
    put_point(client, name, 1)
    becomes(client, name, OK)


@pytest.mark.parametrize("meanwhile", ["set", "replaced"])
def test_what_is_done_to_an_alarm_while_it_is_evaluated_is_not_undone(monkeypatch, meanwhile):
    backend = CloudWatchBackend("us-east-1", "123456789012")
    what = {"namespace": "n", "metric_name": "m", "dimensions": [], "statistic": "Sum", "period": 60}
    when = {"comparison_operator": "LessThanThreshold", "threshold": 1, "evaluation_periods": 1}
    alike = {"name": "a", "description": "", "alarm_actions": [], "treat_missing_data": "breaching"}

    def put() -> Alarm:
        return backend.put_metric_alarm(**alike, **what, **when)

    before = put()

    def evaluate_slowly(*of: Any) -> Evaluation:
        found = evaluate(*of)
        assert found.state == ALARM
        if meanwhile == "set":
            before.update_state("a request", "", INSUFFICIENT_DATA)
        else:
            put()
        return found

    monkeypatch.setattr("local_aws.alarms.service.evaluate", evaluate_slowly)
    Alarms(Clients("http://127.0.0.1"), nullcontext)._evaluate(backend, NOW)
    assert before.state_value == {"set": INSUFFICIENT_DATA, "replaced": OK}[meanwhile]
    assert backend.alarms["a"].state_value != ALARM


def test_an_alarm_whose_actions_are_off_rings_unheard(client, name, put_alarm, told):
    put_alarm(ActionsEnabled=False)
    put_point(client, name, 5)
    becomes(client, name, ALARM)
    client("cloudwatch").enable_alarm_actions(AlarmNames=[name])
    put_point(client, name, -9)
    becomes(client, name, OK)
    assert [json.loads(one["Message"])["NewStateValue"] for one in wait_until(told)] == [OK]


def test_a_topic_that_is_gone_silences_no_other(client, name, put_alarm, topic, told):
    put_alarm(AlarmActions=[f"{topic}-gone", topic])
    put_point(client, name, 5)
    assert [json.loads(one["Message"])["NewStateValue"] for one in wait_until(told)] == [ALARM]


def test_alarms_that_are_not_evaluated_keep_the_state_that_they_are_given(client, name, put_alarm):
    cloudwatch, other = client("cloudwatch"), f"{name}-query"
    query = {"Id": "q", "Expression": 'SELECT SUM(errors) FROM "e"', "Period": 60, "ReturnData": True}
    compared = {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    cloudwatch.put_metric_alarm(AlarmName=other, Metrics=[query], EvaluationPeriods=1, **compared)
    cloudwatch.set_alarm_state(AlarmName=other, StateValue=ALARM, StateReason="a test")
    put_alarm()
    put_point(client, name, 0)
    becomes(client, name, OK)
    assert described(client, other)["StateValue"] == ALARM
    cloudwatch.delete_alarms(AlarmNames=[other])


@pytest.mark.parametrize("metric", ["ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"])
def test_an_alarm_on_a_queue_rings_for_a_message(client, name, put_alarm, metric):
    queue = client("sqs").create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    asked = {"Namespace": "AWS/SQS", "MetricName": metric, "Statistic": "Maximum", "Threshold": 0}
    put_alarm(**asked, Dimensions=[{"Name": "QueueName", "Value": f"{name}-dead"}])
    becomes(client, name, OK)
    client("sqs").send_message(QueueUrl=queue, MessageBody="never taken up")
    put_point(client, name, 0)
    becomes(client, name, ALARM)
    client("sqs").delete_queue(QueueUrl=queue)


def test_an_action_that_nobody_would_carry_out_is_refused(put_alarm):
    with pytest.raises(ClientError, match="no alarm action arn:aws:automate"):
        put_alarm(AlarmActions=["arn:aws:automate:us-east-1:ec2:stop:now"])

from __future__ import annotations

from typing import Any

import pytest

from vigil.setup.policies import lets_in

TOPIC = "arn:aws:sns:eu-west-1:123456789012:alerts"


def policy(**statement: Any) -> dict[str, Any]:
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    return {
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "1"}, "Action": "x:Y"}, allowed | statement]
    }


@pytest.mark.parametrize(
    "statement",
    [
        {},
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}},
        {"Action": ["sqs:ReceiveMessage", "SQS:Send*"]},
        {"Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}}},
        {"Condition": {"ArnLike": {"AWS:SourceArn": ["x", "arn:aws:sns:*:*:al*"]}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
    ],
)
def test_who_is_let_in(statement: dict[str, Any]) -> None:
    assert lets_in(policy(**statement), "sns.amazonaws.com", "sqs:SendMessage", TOPIC)


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny"},
        {"Principal": {"Service": "events.amazonaws.com"}},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:role/x"}},
        {"Action": "sqs:ReceiveMessage"},
        {"Condition": {"ArnEquals": {"aws:SourceArn": f"{TOPIC}-2"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "1"}}},
        {"Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}, "StringEquals": {"aws:SourceAccount": "1"}}},
    ],
)
def test_who_is_not(statement: dict[str, Any]) -> None:
    assert not lets_in(policy(**statement), "sns.amazonaws.com", "sqs:SendMessage", TOPIC)


def test_an_empty_policy_lets_nobody_in() -> None:
    assert not lets_in({}, "sns.amazonaws.com", "sqs:SendMessage", TOPIC)

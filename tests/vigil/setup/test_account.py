from __future__ import annotations

from typing import Any

from tests.vigil.setup.doubles import SETTINGS, Answers, ground
from vigil.setup.account import caller, permissions

ROLE = "arn:aws:iam::123456789012:role/service-role/airflow"


class Simulator:
    """Answers what a role may do, and remembers what it was asked."""

    def __init__(self, *denied: str) -> None:
        self.denied = denied
        self.asked: list[dict[str, Any]] = []

    def simulate(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalDecision": "implicitDeny" if action in self.denied else "allowed",
                }
                for action in request["ActionNames"]
            ]
        }

    @property
    def account(self) -> Answers:
        iam = {
            "get_role": lambda **_: {"Role": {"Arn": ROLE}},
            "simulate_principal_policy": self.simulate,
        }
        return Answers(calls={"iam": iam})


def test_a_role_that_may_do_what_tasks_do_is_fine() -> None:
    simulator = Simulator()
    assert permissions(ground(simulator.account)).outcome == "ok"
    assert {request["PolicySourceArn"] for request in simulator.asked} == {ROLE, SETTINGS.sagemaker_role_arn}
    asked = {
        action: request["ResourceArns"] for request in simulator.asked for action in request["ActionNames"]
    }
    assert asked["sns:Publish"] == [SETTINGS.alert_topic_arn]
    assert asked["iam:PassRole"] == [SETTINGS.sagemaker_role_arn]
    assert asked["sagemaker:CreateTrainingJob"] == [
        "arn:aws:sagemaker:eu-west-1:123456789012:training-job/event-counts-check"
    ]
    assert asked["kms:Encrypt"] == [SETTINGS.key_arn]
    assert not any(action.startswith("sqs:") for action in asked), "no queue is set"


def test_what_it_may_not_do_is_named() -> None:
    look = permissions(ground(Simulator("iam:PassRole", "cloudwatch:PutMetricData").account))
    assert look.outcome == "fail"
    assert look.seen == (
        f"{ROLE} may not cloudwatch:PutMetricData on *, iam:PassRole on {SETTINGS.sagemaker_role_arn}"
    )
    assert "deploy/roles.yaml" in look.fix


def test_jobs_that_may_not_encrypt_what_they_write_are_named_by_their_own_role() -> None:
    look = permissions(ground(Simulator("kms:GenerateDataKey").account))
    assert look.outcome == "fail"
    assert look.seen == f"{SETTINGS.sagemaker_role_arn} may not kms:GenerateDataKey on {SETTINGS.key_arn}"


def test_credentials_of_another_account_are_told() -> None:
    assert caller(ground(Answers())).outcome == "ok"
    elsewhere = {"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/somebody"}
    look = caller(ground(Answers(calls={"sts": {"get_caller_identity": lambda: elsewhere}})))
    assert look.outcome == "fail"
    assert "111122223333" in look.seen

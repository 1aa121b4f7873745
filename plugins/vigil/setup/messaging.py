"""Checks of topics and queues: there, heard, and open to those that deliver."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from vigil.aws import error_code
from vigil.detection.pipeline import QueueOptions
from vigil.setup.configuration import pipeline_of
from vigil.setup.findings import Look, failing, fine, not_applicable, tell_apart
from vigil.setup.ground import Ground
from vigil.setup.policies import lets_in

_TEMPLATE = "deploy/pipeline.yaml has it so: deploy it again"
_NOT_THERE = ("NotFound", "NotFoundException", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def alert_topic(ground: Ground) -> Look:
    """Look whether the topic of alerts is there."""
    return _topic(ground, ground.settings.alert_topic_arn, "alert_topic_arn", "AlertTopicArn")


def operations_topic(ground: Ground) -> Look:
    """Look whether the topic of notices is there, if one is set."""
    arn = ground.settings.operations_topic_arn
    if arn is None:
        return not_applicable(
            "nobody is told of trainings and releases", "set operations_topic_arn, should that be wanted"
        )
    return _topic(ground, arn, "operations_topic_arn", "OperationsTopicArn")


def alert_subscribers(ground: Ground) -> Look:
    """Look whether somebody hears of alerts."""
    return _subscribers(ground, ground.settings.alert_topic_arn)


def operations_subscribers(ground: Ground) -> Look:
    """Look whether somebody hears of notices."""
    return _subscribers(ground, str(ground.settings.operations_topic_arn))


def operations_publishers(ground: Ground) -> Look:
    """Look whether rules and alarms may publish to the topic of notices."""
    arn = str(ground.settings.operations_topic_arn)
    policy = json.loads(_topic_attributes(ground, arn).get("Policy", "{}"))
    alarm = f"arn:{ground.partition}:cloudwatch:{ground.region}:{ground.account}:alarm:vigil"
    looks = _rules_that_deliver(ground, arn, policy, "sns:Publish")
    looks["alarms"] = (
        fine("may publish")
        if lets_in(policy, "cloudwatch.amazonaws.com", "sns:Publish", alarm)
        else failing("are refused by its policy", _TEMPLATE)
    )
    return tell_apart(looks, "")


def image_pushes(ground: Ground) -> Look:
    """Look whether pushes of images arrive in their queue, if one is set."""
    url = ground.settings.image_push_queue_url
    if url is None:
        return not_applicable("only the hourly look at the registry finds new images")
    try:
        attributes = _queue(ground, url)
    except ClientError as error:
        return _no_queue(error, url, "set image_push_queue_url to the output ImagePushQueueUrl")
    policy = json.loads(attributes.get("Policy", "{}"))
    looks = _rules_that_deliver(ground, attributes["QueueArn"], policy, "sqs:SendMessage")
    if not looks:
        return failing("no rule has the queue as its target", _TEMPLATE)
    return tell_apart(looks, "")


def dead_letters(ground: Ground) -> Look:
    """Look whether the queues are empty that hear of what nobody could deliver or take up."""
    arns = {ground.settings.schedule_dead_letter_arn}
    if ground.settings.image_push_queue_url:
        redrive = _queue(ground, ground.settings.image_push_queue_url).get("RedrivePolicy", "{}")
        arns.add(json.loads(redrive).get("deadLetterTargetArn"))
    looks = {}
    for arn in sorted(filter(None, arns)):
        name = arn.rpartition(":")[2]
        url = ground.aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        waiting = int(_queue(ground, url)["ApproximateNumberOfMessages"])
        looks[name] = (
            failing(f"holds {waiting} messages", "read them, mend the cause, and delete them")
            if waiting
            else fine("is empty")
        )
    return tell_apart(looks, "there are none")


def source_queues(ground: Ground) -> Look:
    """Look whether the queues are there that events are read from."""
    looks = {}
    for source in pipeline_of(ground).sources:
        if isinstance(source, QueueOptions):
            try:
                _queue(ground, source.queue_url)
                looks[source.name] = fine("is there")
            except ClientError as error:
                looks[source.name] = _no_queue(error, source.queue_url, "mend its queue_url")
    return tell_apart(looks, "no source is a queue")


def _topic(ground: Ground, arn: str, option: str, output: str) -> Look:
    try:
        _topic_attributes(ground, arn)
    except ClientError as error:
        if error_code(error) not in _NOT_THERE:
            raise
        return failing(
            f"{arn} does not exist", f"set {option} to the output {output} of the pipeline's stack"
        )
    return fine(arn)


def _topic_attributes(ground: Ground, arn: str) -> dict[str, str]:
    attributes: dict[str, str] = ground.aws.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    return attributes


def _subscribers(ground: Ground, arn: str) -> Look:
    pages = ground.aws.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    subscriptions = [one for page in pages for one in page["Subscriptions"]]
    if not subscriptions:
        return failing("nobody is subscribed", f"subscribe a mail address, a chat or a queue to {arn}")
    looks = {}
    for one in subscriptions:
        if one["SubscriptionArn"] == "PendingConfirmation":
            looks[one["Protocol"]] = fine("awaits confirmation")
        elif one["Protocol"] == "sqs":
            looks[one["Endpoint"].rpartition(":")[2]] = _delivered_to(ground, one["Endpoint"], arn)
        else:
            looks[one["Protocol"]] = fine("is subscribed")
    return tell_apart(looks, "")


def _delivered_to(ground: Ground, queue_arn: str, topic_arn: str) -> Look:
    url = ground.aws.client("sqs").get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
    policy = json.loads(_queue(ground, url).get("Policy", "{}"))
    if lets_in(policy, "sns.amazonaws.com", "sqs:SendMessage", topic_arn):
        return fine("is delivered to")
    return failing("refuses the topic by its policy", _TEMPLATE)


def _rules_that_deliver(ground: Ground, arn: str, policy: dict[str, Any], action: str) -> dict[str, Look]:
    """Look at each rule of EventBridge that has a topic or queue as its target."""
    events = ground.aws.client("events")
    looks = {}
    for name in events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]:
        rule = events.describe_rule(Name=name)
        if rule["State"] == "DISABLED":
            looks[name] = failing("is switched off", f"aws events enable-rule --name {name}")
        elif not lets_in(policy, "events.amazonaws.com", action, rule["Arn"]):
            looks[name] = failing("is refused by its target's policy", _TEMPLATE)
        else:
            looks[name] = fine("delivers")
    return looks


def _queue(ground: Ground, url: str) -> dict[str, str]:
    answer = ground.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    attributes: dict[str, str] = answer["Attributes"]
    return attributes


def _no_queue(error: ClientError, url: str, fix: str) -> Look:
    if error_code(error) not in _NOT_THERE:
        raise error
    return failing(f"{url} does not exist", fix)

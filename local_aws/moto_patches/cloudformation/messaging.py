"""SQS and SNS in stacks."""

from __future__ import annotations

from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import (
    Kind,
    Properties,
    Region,
    as_json,
    as_text,
    tag_list,
    tag_map,
)

_QUEUE_DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "RedrivePolicy": "",
    "ContentBasedDeduplication": "false",
    "KmsMasterKeyId": "",
    "SqsManagedSseEnabled": "true",
}
_NOT_ATTRIBUTES = ("QueueName", "TopicName", "Tags", "Subscription")


class Queue(Kind):
    """AWS::SQS::Queue."""

    type = "AWS::SQS::Queue"
    inherits_tags = True
    name_property = "QueueName"
    fixed = ("FifoQueue",)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        attributes = {key: as_text(value) for key, value in properties.items() if key not in _NOT_ATTRIBUTES}
        fifo = properties.get("FifoQueue") and not name.endswith(".fifo")
        made = region.client("sqs").create_queue(
            QueueName=f"{name[:75]}.fifo" if fifo else name[:80],
            Attributes=attributes,
            tags=tag_map(properties),
        )
        return str(made["QueueUrl"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if not before:
            return
        gone = {
            key: default
            for key, default in _QUEUE_DEFAULTS.items()
            if key in before and key not in properties
        }
        given = {key: as_text(value) for key, value in properties.items() if key not in _NOT_ATTRIBUTES}
        given.pop("FifoQueue", None)
        sqs = region.client("sqs")
        if gone | given:
            sqs.set_queue_attributes(QueueUrl=physical_id, Attributes=gone | given)
        stale = tag_map(before).keys() - tag_map(properties).keys()
        if stale:
            sqs.untag_queue(QueueUrl=physical_id, TagKeys=sorted(stale))
        if tag_map(properties):
            sqs.tag_queue(QueueUrl=physical_id, Tags=tag_map(properties))

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        wanted = region.client("sqs").get_queue_attributes(QueueUrl=physical_id, AttributeNames=["QueueArn"])
        arn = wanted["Attributes"]["QueueArn"]
        return {"Arn": arn, "QueueName": arn.rsplit(":", 1)[1], "QueueUrl": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("sqs").delete_queue(QueueUrl=physical_id)


class QueuePolicy(Kind):
    """AWS::SQS::QueuePolicy."""

    type = "AWS::SQS::QueuePolicy"

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        sqs = region.client("sqs")
        for url in properties["Queues"]:
            policy = as_json(properties["PolicyDocument"])
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        for url in set(before.get("Queues", [])) - set(properties["Queues"]):
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        for url in properties["Queues"]:
            region.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})


class Topic(Kind):
    """AWS::SNS::Topic."""

    type = "AWS::SNS::Topic"
    inherits_tags = True
    name_property = "TopicName"
    fixed = ("FifoTopic",)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        attributes = {key: as_text(value) for key, value in properties.items() if key not in _NOT_ATTRIBUTES}
        fifo = properties.get("FifoTopic") and not name.endswith(".fifo")
        sns = region.client("sns")
        full_name = f"{name}.fifo" if fifo else name
        made = sns.create_topic(Name=full_name, Attributes=attributes, Tags=tag_list(properties))
        return str(made["TopicArn"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        sns = region.client("sns")
        for attribute in ("DisplayName", "KmsMasterKeyId", "ContentBasedDeduplication"):
            if properties.get(attribute) != before.get(attribute):
                value = as_text(properties.get(attribute, ""))
                sns.set_topic_attributes(TopicArn=physical_id, AttributeName=attribute, AttributeValue=value)
        for subscription in properties.get("Subscription", []):
            sns.subscribe(
                TopicArn=physical_id, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"]
            )

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"TopicArn": physical_id, "TopicName": physical_id.rsplit(":", 1)[1]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("sns").delete_topic(TopicArn=physical_id)


class TopicPolicy(Kind):
    """AWS::SNS::TopicPolicy."""

    type = "AWS::SNS::TopicPolicy"

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        for arn in properties["Topics"]:
            _set_topic_policy(region, arn, as_json(properties["PolicyDocument"]))
        for arn in set(before.get("Topics", [])) - set(properties["Topics"]):
            _set_topic_policy(region, arn, _owner_only(arn))

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        for arn in properties["Topics"]:
            _set_topic_policy(region, arn, _owner_only(arn))


class Subscription(Kind):
    """AWS::SNS::Subscription."""

    type = "AWS::SNS::Subscription"
    fixed = ("TopicArn", "Protocol", "Endpoint")
    _ATTRIBUTES = {
        "RawMessageDelivery": "false",
        "FilterPolicy": "{}",
        "FilterPolicyScope": "MessageAttributes",
        "RedrivePolicy": "{}",
        "DeliveryPolicy": "{}",
    }

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        made = region.client("sns").subscribe(
            TopicArn=properties["TopicArn"],
            Protocol=properties["Protocol"],
            Endpoint=properties["Endpoint"],
            ReturnSubscriptionArn=True,
        )
        return str(made["SubscriptionArn"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        for attribute, default in self._ATTRIBUTES.items():
            if properties.get(attribute) != before.get(attribute):
                region.client("sns").set_subscription_attributes(
                    SubscriptionArn=physical_id,
                    AttributeName=attribute,
                    AttributeValue=as_text(properties.get(attribute, default)),
                )

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"Arn": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("sns").unsubscribe(SubscriptionArn=physical_id)


def _set_topic_policy(region: Region, arn: str, policy: str) -> None:
    sns = region.client("sns")
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


def _owner_only(arn: str) -> str:
    account = arn.split(":")[4]
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "SNS:Publish", "Resource": arn}
    return as_json({"Version": "2008-10-17", "Statement": [statement]})

"""S3 in stacks."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError
from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import (
    Kind,
    Properties,
    Region,
    as_json,
    as_text,
    tag_list,
)


class Bucket(Kind):
    """AWS::S3::Bucket."""

    type = "AWS::S3::Bucket"
    inherits_tags = True
    name_property = "BucketName"

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        elsewhere = {} if region.name == "us-east-1" else {"LocationConstraint": region.name}
        s3 = region.client("s3")
        s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": elsewhere} if elsewhere else {}))
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        s3 = region.client("s3")
        for name, (put, remove) in _SETTINGS.items():
            if name in properties and properties[name] != before.get(name):
                put(s3, physical_id, properties[name])
            elif name in before and name not in properties:
                remove(s3, physical_id)
        if tag_list(properties) != tag_list(before):
            s3.put_bucket_tagging(Bucket=physical_id, Tagging={"TagSet": tag_list(properties)})

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {
            "Arn": f"arn:aws:s3:::{physical_id}",
            "DomainName": f"{physical_id}.s3.amazonaws.com",
            "RegionalDomainName": f"{physical_id}.s3.{region.name}.amazonaws.com",
        }

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("s3").delete_bucket(Bucket=physical_id)


class BucketPolicy(Kind):
    """AWS::S3::BucketPolicy."""

    type = "AWS::S3::BucketPolicy"
    fixed = ("Bucket",)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        return str(properties["Bucket"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        policy = as_json(properties["PolicyDocument"])
        region.client("s3").put_bucket_policy(Bucket=physical_id, Policy=policy)

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        with suppress(ClientError):  # the bucket may be gone before its policy
            region.client("s3").delete_bucket_policy(Bucket=physical_id)


def _put_versioning(s3: Any, bucket: str, given: Any) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": given["Status"]})


def _suspend_versioning(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def _put_encryption(s3: Any, bucket: str, given: Any) -> None:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            "BucketKeyEnabled": as_text(rule.get("BucketKeyEnabled", False)) == "true",
        }
        for rule in given["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _put_ownership(s3: Any, bucket: str, given: Any) -> None:
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": given["Rules"]})


def _put_public_access_block(s3: Any, bucket: str, given: Any) -> None:
    flags = {name: as_json(value).strip('"').lower() == "true" for name, value in given.items()}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=flags)


def _put_lifecycle(s3: Any, bucket: str, given: Any) -> None:
    rules = [_lifecycle_rule(number, rule) for number, rule in enumerate(given["Rules"])]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(number: int, given: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "ID": given.get("Id", f"rule-{number}"),
        "Status": given["Status"],
        "Filter": {"Prefix": given.get("Prefix", "")},
    }
    if "ExpirationInDays" in given:
        rule["Expiration"] = {"Days": int(given["ExpirationInDays"])}
    if "NoncurrentVersionExpiration" in given:
        rule["NoncurrentVersionExpiration"] = {
            name: int(number) for name, number in given["NoncurrentVersionExpiration"].items()
        }
    if "AbortIncompleteMultipartUpload" in given:
        days = int(given["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return rule


def _put_notifications(s3: Any, bucket: str, given: Any) -> None:
    wanted: dict[str, Any] = {}
    for source, target, arn in (
        ("QueueConfigurations", "QueueConfigurations", "Queue"),
        ("TopicConfigurations", "TopicConfigurations", "Topic"),
    ):
        if given.get(source):
            wanted[target] = [_notification(one, arn) for one in given[source]]
    if "EventBridgeConfiguration" in given:
        wanted["EventBridgeConfiguration"] = {}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)


def _notification(given: Any, arn: str) -> dict[str, Any]:
    wanted = {f"{arn}Arn": given[arn], "Events": [given["Event"]]}
    rules = given.get("Filter", {}).get("S3Key", {}).get("Rules", [])
    if rules:
        wanted["Filter"] = {
            "Key": {"FilterRules": [{"Name": rule["Name"], "Value": rule["Value"]} for rule in rules]}
        }
    return wanted


_SETTINGS: dict[str, tuple[Any, Any]] = {
    "VersioningConfiguration": (_put_versioning, _suspend_versioning),
    "BucketEncryption": (_put_encryption, lambda s3, bucket: s3.delete_bucket_encryption(Bucket=bucket)),
    "OwnershipControls": (
        _put_ownership,
        lambda s3, bucket: s3.delete_bucket_ownership_controls(Bucket=bucket),
    ),
    "PublicAccessBlockConfiguration": (
        _put_public_access_block,
        lambda s3, bucket: s3.delete_public_access_block(Bucket=bucket),
    ),
    "LifecycleConfiguration": (
        _put_lifecycle,
        lambda s3, bucket: s3.delete_bucket_lifecycle(Bucket=bucket),
    ),
    "NotificationConfiguration": (
        _put_notifications,
        lambda s3, bucket: s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={}
        ),
    ),
}

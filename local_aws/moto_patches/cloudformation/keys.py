"""KMS in stacks."""

from __future__ import annotations

from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import (
    Kind,
    Properties,
    Region,
    as_json,
    as_text,
    tag_map,
)

_PENDING_DAYS = 30


class Key(Kind):
    """AWS::KMS::Key, symmetric."""

    type = "AWS::KMS::Key"
    inherits_tags = True
    fixed = ("KeySpec", "KeyUsage", "MultiRegion")
    known = frozenset(
        {
            *fixed,
            "Description",
            "EnableKeyRotation",
            "Enabled",
            "KeyPolicy",
            "PendingWindowInDays",
            "Tags",
        }
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        given = {key: properties[key] for key in ("Description", "KeySpec", "KeyUsage") if key in properties}
        made = region.client("kms").create_key(
            Policy=as_json(properties["KeyPolicy"]),
            MultiRegion=as_text(properties.get("MultiRegion", False)) == "true",
            Tags=_tags(properties),
            **given,
        )
        return str(made["KeyMetadata"]["KeyId"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        kms = region.client("kms")
        if before:
            kms.put_key_policy(KeyId=physical_id, Policy=as_json(properties["KeyPolicy"]))
            kms.update_key_description(KeyId=physical_id, Description=properties.get("Description", ""))
            stale = tag_map(before).keys() - tag_map(properties).keys()
            if stale:
                kms.untag_resource(KeyId=physical_id, TagKeys=sorted(stale))
            if _tags(properties):
                kms.tag_resource(KeyId=physical_id, Tags=_tags(properties))
        rotates = as_text(properties.get("EnableKeyRotation", False)) == "true"
        (kms.enable_key_rotation if rotates else kms.disable_key_rotation)(KeyId=physical_id)
        is_enabled = as_text(properties.get("Enabled", True)) == "true"
        (kms.enable_key if is_enabled else kms.disable_key)(KeyId=physical_id)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("kms").describe_key(KeyId=physical_id)["KeyMetadata"]
        return {"Arn": found["Arn"], "KeyId": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        days = int(properties.get("PendingWindowInDays", _PENDING_DAYS))
        region.client("kms").schedule_key_deletion(KeyId=physical_id, PendingWindowInDays=days)


class Alias(Kind):
    """AWS::KMS::Alias."""

    type = "AWS::KMS::Alias"
    name_property = "AliasName"
    known = frozenset({"AliasName", "TargetKeyId"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        region.client("kms").create_alias(AliasName=name, TargetKeyId=properties["TargetKeyId"])
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if before:
            region.client("kms").update_alias(AliasName=physical_id, TargetKeyId=properties["TargetKeyId"])

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("kms").delete_alias(AliasName=physical_id)


def _tags(properties: Properties) -> list[dict[str, str]]:
    """Write tags as KMS, unlike any other service, names them."""
    return [{"TagKey": key, "TagValue": value} for key, value in tag_map(properties).items()]

"""Secrets Manager in stacks."""

from __future__ import annotations

import json
import re
from typing import Any

from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import Kind, Properties, Region, as_text, tag_list

_REFERENCE = re.compile(r"\{\{resolve:secretsmanager:(?P<id>[^}]+?):SecretString:(?P<key>[^}:]+)\}\}")
_PASSWORD = {
    "ExcludeCharacters",
    "ExcludeLowercase",
    "ExcludeNumbers",
    "ExcludePunctuation",
    "ExcludeUppercase",
    "IncludeSpace",
    "PasswordLength",
    "RequireEachIncludedType",
}
_DATABASE = "AWS::RDS::DBCluster"


class Secret(Kind):
    """AWS::SecretsManager::Secret."""

    type = "AWS::SecretsManager::Secret"
    inherits_tags = True
    name_property = "Name"
    known = frozenset({"Description", "GenerateSecretString", "KmsKeyId", "Name", "SecretString", "Tags"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        secrets = region.client("secretsmanager")
        made = secrets.create_secret(
            Name=name,
            SecretString=_content(secrets, properties),
            Tags=tag_list(properties),
            **_described(properties),
        )
        return str(made["ARN"])

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if not before:
            return
        secrets = region.client("secretsmanager")
        secrets.update_secret(SecretId=physical_id, **_described(properties))
        source = ("GenerateSecretString", "SecretString")
        if any(properties.get(name) != before.get(name) for name in source):
            secrets.put_secret_value(SecretId=physical_id, SecretString=_content(secrets, properties))

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"Id": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        secrets = region.client("secretsmanager")
        secrets.delete_secret(SecretId=physical_id, ForceDeleteWithoutRecovery=True)


class SecretTargetAttachment(Kind):
    """AWS::SecretsManager::SecretTargetAttachment to a cluster: it writes down where the login holds."""

    type = "AWS::SecretsManager::SecretTargetAttachment"
    fixed = ("SecretId", "TargetId", "TargetType")
    known = frozenset(fixed)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        if properties["TargetType"] != _DATABASE:
            raise ValueError(f"The embedded AWS attaches secrets to {_DATABASE} only")
        (cluster,) = region.client("rds").describe_db_clusters(DBClusterIdentifier=properties["TargetId"])[
            "DBClusters"
        ]
        self._rewrite(
            region,
            properties["SecretId"],
            {
                "engine": "mysql",
                "host": cluster["Endpoint"],
                "port": cluster["Port"],
                "dbname": cluster["DatabaseName"],
                "dbClusterIdentifier": cluster["DBClusterIdentifier"],
            },
        )
        return str(properties["SecretId"])

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        self._rewrite(region, physical_id, {})

    def _rewrite(self, region: Region, secret: str, place: dict[str, Any]) -> None:
        """Keep user and password, and put a place beside them."""
        secrets = region.client("secretsmanager")
        present = json.loads(secrets.get_secret_value(SecretId=secret)["SecretString"])
        login = {name: present[name] for name in ("username", "password")}
        secrets.put_secret_value(SecretId=secret, SecretString=json.dumps(login | place))


def resolved(region: Region, text: str) -> str:
    """Put parts of secrets in place of the dynamic references to them."""

    def value(found: re.Match[str]) -> str:
        secret = region.client("secretsmanager").get_secret_value(SecretId=found["id"])["SecretString"]
        return str(json.loads(secret)[found["key"]])

    return _REFERENCE.sub(value, text)


def _described(properties: Properties) -> dict[str, str]:
    return {name: properties[name] for name in ("Description", "KmsKeyId") if name in properties}


def _content(secrets: Any, properties: Properties) -> str:
    wanted = properties.get("GenerateSecretString")
    if wanted is None:
        return str(properties.get("SecretString", ""))
    given = {name: _typed(name, wanted[name]) for name in _PASSWORD & wanted.keys()}
    password = secrets.get_random_password(**given)["RandomPassword"]
    if "SecretStringTemplate" not in wanted:
        return str(password)
    return json.dumps(json.loads(wanted["SecretStringTemplate"]) | {wanted["GenerateStringKey"]: password})


def _typed(name: str, value: Any) -> Any:
    """Give a value of a template the type that the API takes."""
    match name:
        case "PasswordLength":
            return int(value)
        case "ExcludeCharacters":
            return str(value)
    return as_text(value) == "true"

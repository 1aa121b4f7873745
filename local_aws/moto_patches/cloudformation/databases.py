"""RDS in stacks: clusters that are described, and answer no query."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from local_aws.moto_patches.cloudformation.compute import as_operation_takes
from local_aws.moto_patches.cloudformation.resources import Kind, Properties, Region, as_text, tag_list
from local_aws.moto_patches.cloudformation.secrets import resolved

_NAME_LIMIT = 63


class SubnetGroup(Kind):
    """AWS::RDS::DBSubnetGroup."""

    type = "AWS::RDS::DBSubnetGroup"
    name_property = "DBSubnetGroupName"
    known = frozenset({"DBSubnetGroupDescription", "DBSubnetGroupName", "SubnetIds", "Tags"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        region.client("rds").create_db_subnet_group(**_request(name, properties))
        return name.lower()

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if before:
            request = _request(physical_id, properties)
            request.pop("Tags")
            region.client("rds").modify_db_subnet_group(**request)

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("rds").delete_db_subnet_group(DBSubnetGroupName=physical_id)


class ClusterParameterGroup(Kind):
    """AWS::RDS::DBClusterParameterGroup."""

    type = "AWS::RDS::DBClusterParameterGroup"
    name_property = "DBClusterParameterGroupName"
    fixed = ("Description", "Family")
    known = frozenset({*fixed, name_property, "Parameters", "Tags"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        region.client("rds").create_db_cluster_parameter_group(
            DBClusterParameterGroupName=name.lower(),
            DBParameterGroupFamily=properties["Family"],
            Description=properties["Description"],
            Tags=tag_list(properties),
        )
        return name.lower()

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        region.client("rds").modify_db_cluster_parameter_group(
            DBClusterParameterGroupName=physical_id,
            Parameters=[
                {"ParameterName": name, "ParameterValue": as_text(value), "ApplyMethod": "pending-reboot"}
                for name, value in properties["Parameters"].items()
            ],
        )

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("rds").delete_db_cluster_parameter_group(DBClusterParameterGroupName=physical_id)


class Cluster(Kind):
    """AWS::RDS::DBCluster; a last snapshot stays of it, as in the cloud unless a template says otherwise."""

    type = "AWS::RDS::DBCluster"
    inherits_tags = True
    name_property = "DBClusterIdentifier"
    fixed = ("DBSubnetGroupName", "DatabaseName", "Engine", "KmsKeyId", "MasterUsername", "StorageEncrypted")
    _CHANGEABLE = frozenset(
        {
            "BackupRetentionPeriod",
            "CopyTagsToSnapshot",
            "DBClusterParameterGroupName",
            "DeletionProtection",
            "EngineVersion",
            "ServerlessV2ScalingConfiguration",
            "VpcSecurityGroupIds",
        }
    )
    known = frozenset(
        {
            *fixed,
            *_CHANGEABLE,
            name_property,
            "EnableCloudwatchLogsExports",
            "MasterUserPassword",
            "Tags",
        }
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        rds = region.client("rds")
        identifier = name.lower()[:_NAME_LIMIT]
        login = {key: resolved(region, properties[key]) for key in ("MasterUsername", "MasterUserPassword")}
        request = {**properties, **login, "DBClusterIdentifier": identifier, "Tags": tag_list(properties)}
        rds.create_db_cluster(**as_operation_takes(rds, "CreateDBCluster", request))
        return identifier

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if not before:
            return
        rds = region.client("rds")
        request: dict[str, Any] = {
            name: properties[name] for name in self._CHANGEABLE - {"CopyTagsToSnapshot"} & properties.keys()
        }
        request |= {"DBClusterIdentifier": physical_id, "ApplyImmediately": True}
        rds.modify_db_cluster(**as_operation_takes(rds, "ModifyDBCluster", request))

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("rds").describe_db_clusters(DBClusterIdentifier=physical_id)["DBClusters"][0]
        return {
            "DBClusterArn": found["DBClusterArn"],
            "Endpoint.Address": found["Endpoint"],
            "Endpoint.Port": str(found["Port"]),
            "ReadEndpoint.Address": found["ReaderEndpoint"],
        }

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        rds = region.client("rds")
        rds.delete_db_cluster(
            DBClusterIdentifier=physical_id,
            SkipFinalSnapshot=False,
            FinalDBSnapshotIdentifier=f"{physical_id}-final",
        )
        # Those that the cloud took by itself go with the cluster.
        backups = rds.describe_db_cluster_snapshots(DBClusterIdentifier=physical_id, SnapshotType="automated")
        for backup in backups["DBClusterSnapshots"]:
            rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=backup["DBClusterSnapshotIdentifier"])


class ClusterInstance(Kind):
    """AWS::RDS::DBInstance of a cluster."""

    type = "AWS::RDS::DBInstance"
    name_property = "DBInstanceIdentifier"
    fixed = ("DBClusterIdentifier", "Engine", "PubliclyAccessible")
    known = frozenset({*fixed, name_property, "AutoMinorVersionUpgrade", "DBInstanceClass", "Tags"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        rds = region.client("rds")
        identifier = name.lower()[:_NAME_LIMIT]
        request = {**properties, "DBInstanceIdentifier": identifier, "Tags": tag_list(properties)}
        rds.create_db_instance(**as_operation_takes(rds, "CreateDBInstance", request))
        return identifier

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if before:
            region.client("rds").modify_db_instance(
                DBInstanceIdentifier=physical_id,
                DBInstanceClass=properties["DBInstanceClass"],
                ApplyImmediately=True,
            )

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("rds").delete_db_instance(DBInstanceIdentifier=physical_id, SkipFinalSnapshot=True)


KINDS = (Cluster(), ClusterInstance(), ClusterParameterGroup(), SubnetGroup())


def _request(name: str, properties: Properties) -> dict[str, Any]:
    return {
        "DBSubnetGroupName": name.lower(),
        "DBSubnetGroupDescription": properties["DBSubnetGroupDescription"],
        "SubnetIds": list(properties["SubnetIds"]),
        "Tags": tag_list(properties),
    }

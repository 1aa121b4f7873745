from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from deploy.errors import DeployError
from deploy.stacks import bring_about, delete_stack
from deploy.templates import airflow_options, read_template, stack_name
from tests.conftest import aws_environment
from tests.deploy.conftest import Client
from tests.deploy.policies import SOME_PARAMETERS
from tests.vigil.training.history import MONDAY, insert_series
from vigil.operators.environment import load_settings, open_database
from vigil.paths import include_dir
from vigil.training.counts.export import export_windows
from vigil.training.request import TrainingRun

POLL_S = 0.05


@pytest.fixture
def environment(client: Client) -> Iterator[str]:
    """An environment of the test's own; what it leaves is deleted."""
    name = f"e-{uuid4().hex[:8]}"
    yield name
    made = client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])
    for stack in made["StackSummaries"]:
        if stack["StackName"].startswith(f"vigil-{name}-"):
            client("cloudformation").delete_stack(StackName=stack["StackName"])


def make(client: Client, environment: str, template: str, **known: str) -> dict[str, str]:
    return bring_about(client("cloudformation"), environment, read_template(template), known, POLL_S)


def remove(client: Client, environment: str, template: str) -> None:
    delete_stack(client("cloudformation"), stack_name(environment, template), POLL_S)


def in_vpc(client: Client, vpc: str) -> dict[str, list[Any]]:
    """What costs something in a VPC, or stands in the way of its deletion."""
    ec2, mine = client("ec2"), [{"Name": "vpc-id", "Values": [vpc]}]
    found = {
        "endpoints": ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"],
        "subnets": ec2.describe_subnets(Filters=mine)["Subnets"],
        "gateways": ec2.describe_nat_gateways(Filters=mine)["NatGateways"],
    }
    return {kind: [one for one in there if one["State"] != "deleted"] for kind, there in found.items()}


def test_a_network_reaches_aws_by_endpoints_or_by_nat_and_leaves_nothing(client, environment):
    outputs = make(client, environment, "network")
    assert make(client, environment, "network") == outputs
    ec2, vpc = client("ec2"), outputs["VpcId"]
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    there = in_vpc(client, vpc)
    assert {one["AvailabilityZone"] for one in there["subnets"]} == {"eu-west-1a", "eu-west-1b"}
    assert {one["SubnetId"] for one in there["subnets"]} == set(outputs["PrivateSubnetIds"].split(","))
    assert there["gateways"] == []
    interfaces = [one for one in there["endpoints"] if one["VpcEndpointType"] == "Interface"]
    assert len(interfaces) == len(there["endpoints"]) - 1
    assert all(one["PrivateDnsEnabled"] and len(one["SubnetIds"]) == 2 for one in interfaces)
    for table in ec2.describe_route_tables(Filters=mine)["RouteTables"]:
        assert [one for one in table["Routes"] if one.get("DestinationCidrBlock") == "0.0.0.0/0"] == []
    (airflow,) = ec2.describe_security_groups(GroupIds=[outputs["AirflowSecurityGroupId"]])["SecurityGroups"]
    (rule,) = airflow["IpPermissions"]
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [airflow["GroupId"]]

    assert make(client, environment, "network", Egress="nat", FlowLogs="true") == outputs
    there = in_vpc(client, vpc)
    assert (len(there["gateways"]), len(there["subnets"]), len(there["endpoints"])) == (2, 4, 1)
    assert len(ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"]) == 1
    addresses = {one["NatGatewayAddresses"][0]["AllocationId"] for one in there["gateways"]}
    remove(client, environment, "network")
    assert not any(in_vpc(client, vpc).values())
    assert not addresses & {one["AllocationId"] for one in ec2.describe_addresses()["Addresses"]}
    with pytest.raises(ClientError, match="does not exist"):
        ec2.describe_vpcs(VpcIds=[vpc])


@pytest.fixture
def storage(client: Client, environment: str) -> dict[str, str]:
    """What the other stacks stand on; the embedded AWS speaks plain HTTP."""
    return make(client, environment, "storage", RequireTls="false")


def test_what_is_stored_is_encrypted_with_the_key_and_outlives_the_stack(client, environment, storage):
    assert make(client, environment, "storage", RequireTls="false") == storage
    kms, s3 = client("kms"), client("s3")
    assert kms.get_key_rotation_status(KeyId=storage["KeyArn"])["KeyRotationEnabled"]
    alias = kms.describe_key(KeyId=f"alias/vigil-{environment}")["KeyMetadata"]
    assert alias["Arn"] == storage["KeyArn"]
    for bucket in (storage["BucketName"], storage["CodeBucketName"]):
        s3.put_object(Bucket=bucket, Key="any", Body=b"any")
        kept = s3.head_object(Bucket=bucket, Key="any")
        assert (kept["ServerSideEncryption"], kept["SSEKMSKeyId"]) == ("aws:kms", storage["KeyArn"])
        assert kept["VersionId"]
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=storage["CodeBucketName"])["Rules"]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert make(client, environment, "storage") == storage
    for bucket in (storage["BucketName"], storage["CodeBucketName"]):
        with pytest.raises(ClientError, match="Forbidden"):
            s3.put_object(Bucket=bucket, Key="any", Body=b"by plain HTTP")
    make(client, environment, "storage", RequireTls="false")
    remove(client, environment, "storage")
    assert kms.describe_key(KeyId=storage["KeyArn"])["KeyMetadata"]["KeyState"] == "Enabled"
    assert s3.get_object(Bucket=storage["BucketName"], Key="any")["Body"].read() == b"any"


def test_old_exports_are_deleted_and_nothing_else_of_a_training(
    client, environment, storage, database, connection
):
    s3, bucket = client("s3"), storage["BucketName"]
    insert_series(connection, "orders", [1, 2, 3])
    run = TrainingRun("event-counts", "20260101t000000-abc", bucket)
    manifest = export_windows(database, s3, run.export, MONDAY, MONDAY + timedelta(days=1))
    exported = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert exported == {manifest.location.key, *(f"{run.export.key}/{part.name}" for part in manifest.parts)}
    rules = {
        rule["ID"]: rule
        for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        if "Expiration" in rule
    }
    assert rules["delete-old-exports"]["Expiration"]["Days"] == 400
    deleted = {key: rules_for(rules, key) for key in exported}
    assert set(map(tuple, deleted.values())) == {("delete-old-exports",)}
    kept = [run.dataset, run.artifacts, run.code, run.candidate_predictions, run.evaluation(None)]
    assert [rules_for(rules, place.key) for place in kept] == [[]] * len(kept)


def rules_for(rules: dict[str, Any], key: str) -> list[str]:
    return [name for name, rule in rules.items() if key.startswith(rule["Filter"]["Prefix"])]


def test_the_rest_is_made_from_what_was_made_before_and_leaves_nothing(client, environment, storage):
    known = dict(storage) | {"ModelName": environment}
    made = ("pipeline", "training-stacks", "roles")
    for name in made:
        known |= make(client, environment, name, **known)
    for name in made:
        again = make(client, environment, name, **known)
        assert again.items() <= known.items()
    topics = (known["AlertTopicArn"], known["OperationsTopicArn"])
    for topic in topics:
        attributes = client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
        assert attributes["KmsMasterKeyId"] == storage["KeyArn"]
    role = client("iam").get_role(RoleName=known["AirflowRoleArn"].rpartition("/")[2])["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"]
    attached = client("iam").list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [known["LauncherPolicyArn"]]

    queues = ["arn:aws:sqs:eu-west-1:123456789012:one", "arn:aws:sqs:eu-west-1:123456789012:two"]
    make(client, environment, "roles", **known, EventQueueArns=",".join(queues))
    sources = {"RoleName": role["RoleName"], "PolicyName": "sources"}
    (statement,) = client("iam").get_role_policy(**sources)["PolicyDocument"]["Statement"]
    assert statement["Resource"] == queues

    for name in reversed(made):
        remove(client, environment, name)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        client("iam").get_role(RoleName=role["RoleName"])
    left = {topic["TopicArn"] for topic in client("sns").list_topics()["Topics"]}
    assert not left & set(topics)


def test_a_database_is_encrypted_private_in_the_zones_wanted_and_a_connection_of_airflows(
    client, environment, storage, local_aws, monkeypatch
):
    network = make(client, environment, "network", Egress="nat", AvailabilityZones="eu-west-1b,eu-west-1c")
    subnets = in_vpc(client, network["VpcId"])["subnets"]
    assert sorted(one["AvailabilityZone"][-1] for one in subnets) == ["b", "b", "c", "c"]
    known = network | storage
    outputs = make(client, environment, "database", **known)
    assert make(client, environment, "database", **known) == outputs
    rds = client("rds")
    (cluster,) = [
        one
        for one in rds.describe_db_clusters()["DBClusters"]
        if one["DBClusterArn"] == outputs["DatabaseClusterArn"]
    ]
    assert (cluster["StorageEncrypted"], cluster["KmsKeyId"]) == (True, storage["KeyArn"])
    assert cluster["DeletionProtection"]
    login = client("secretsmanager").describe_secret(SecretId=outputs["DatabaseSecretArn"])
    assert login["KmsKeyId"] == storage["KeyArn"]

    options = airflow_options({**SOME_PARAMETERS, **known, "Environment": environment})
    variables = aws_environment(local_aws) | {
        f"AIRFLOW__{name.replace('.', '__').upper()}": value
        for name, value in options.items()
        if name.startswith(("secrets.", "vigil."))
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    database = open_database(load_settings())
    assert (database.host, database.port) == (outputs["DatabaseEndpoint"], 3306)
    assert (database.user, database.name, len(database.password)) == ("vigil", "vigil", 40)
    assert database.ca_file == str(include_dir() / "certificates/rds-global-bundle.pem")

    secrets, told = client("secretsmanager"), {"SecretId": outputs["DatabaseSecretArn"]}
    secret = json.loads(secrets.get_secret_value(**told)["SecretString"])
    secrets.put_secret_value(**told, SecretString=json.dumps(secret | {"password": "changed"}))
    assert open_database(load_settings()).password == "changed", "the next task logs in anew"

    with pytest.raises(
        DeployError, match=r"Cannot delete protected Cluster.*--no-deletion-protection.*say it"
    ):
        remove(client, environment, "database")

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from deploy.errors import DeployError
from deploy.stacks import bring_about, delete_stack
from deploy.templates import airflow_options, read_template, stack_name
from tests.conftest import aws_environment
from tests.deploy.conftest import Client
from vigil.operators.environment import load_settings, open_database
from vigil.paths import include_dir

POLL_S = 0.05
ARN = "arn:aws:{}:eu-west-1:123456789012:any"
# What airflow.yaml needs to know besides.
SOME_PARAMETERS = {
    "AirflowRoleArn": ARN.format("iam"),
    "AlertTopicArn": ARN.format("sns"),
    "DeleteDeadLetterQueueArn": ARN.format("sqs"),
    "ImagePushQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/any",
    "InstanceBoundaryArn": "arn:aws:iam::123456789012:policy/any",
    "OperationsTopicArn": ARN.format("sns"),
    "SageMakerRoleArn": "arn:aws:iam::123456789012:role/any",
    "ScheduleGroupName": "any",
    "SchedulerRoleArn": "arn:aws:iam::123456789012:role/any",
    "StackRoleArn": "arn:aws:iam::123456789012:role/any",
}


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


def test_a_network_by_endpoints_reaches_aws_and_nothing_else(client, environment):
    outputs = make(client, environment, "network")
    assert make(client, environment, "network") == outputs
    ec2, vpc = client("ec2"), outputs["VpcId"]
    there = in_vpc(client, vpc)
    assert {one["AvailabilityZone"] for one in there["subnets"]} == {"eu-west-1a", "eu-west-1b"}
    assert {one["SubnetId"] for one in there["subnets"]} == set(outputs["PrivateSubnetIds"].split(","))
    assert there["gateways"] == []
    interfaces = [one for one in there["endpoints"] if one["VpcEndpointType"] == "Interface"]
    assert len(interfaces) == len(there["endpoints"]) - 1
    assert all(one["PrivateDnsEnabled"] and len(one["SubnetIds"]) == 2 for one in interfaces)
    for table in ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]:
        assert [one for one in table["Routes"] if one.get("DestinationCidrBlock") == "0.0.0.0/0"] == []
    (airflow,) = ec2.describe_security_groups(GroupIds=[outputs["AirflowSecurityGroupId"]])["SecurityGroups"]
    (rule,) = airflow["IpPermissions"]
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [airflow["GroupId"]]
    remove(client, environment, "network")
    assert not any(in_vpc(client, vpc).values())
    with pytest.raises(ClientError, match="does not exist"):
        ec2.describe_vpcs(VpcIds=[vpc])


def test_a_network_by_nat_becomes_one_by_endpoints_and_back(client, environment):
    outputs = make(client, environment, "network", Egress="nat", FlowLogs="true")
    ec2, vpc = client("ec2"), outputs["VpcId"]
    there = in_vpc(client, vpc)
    assert (len(there["gateways"]), len(there["subnets"]), len(there["endpoints"])) == (2, 4, 1)
    assert len(ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"]) == 1
    addresses = {one["NatGatewayAddresses"][0]["AllocationId"] for one in there["gateways"]}
    assert make(client, environment, "network", Egress="endpoints") == outputs
    assert in_vpc(client, vpc)["gateways"] == []
    left = {one["AllocationId"] for one in ec2.describe_addresses()["Addresses"]}
    assert not addresses & left
    make(client, environment, "network", Egress="nat")
    remove(client, environment, "network")
    assert not any(in_vpc(client, vpc).values())


@pytest.fixture
def storage(client: Client, environment: str) -> dict[str, str]:
    """What the other stacks stand on; the test's end removes keys and buckets that outlive their stack."""
    return make(client, environment, "storage")


def test_a_database_is_encrypted_private_and_a_connection_of_airflows(
    client, environment, storage, local_aws, monkeypatch
):
    network = make(client, environment, "network", Egress="nat")
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

    with pytest.raises(DeployError, match="Cannot delete protected Cluster"):
        remove(client, environment, "database")

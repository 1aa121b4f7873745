"""Networks in stacks: moto's own models never delete what they make."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from typing_extensions import override

from local_aws.moto_patches.cloudformation.compute import as_operation_takes, refuse_extraneous
from local_aws.moto_patches.cloudformation.resources import Kind, Properties, Region, as_text, tag_map

_DELETION_LOOKS_S = 0.05


class Made(Kind):
    """What one call of EC2 makes and another deletes; nothing but its tags can be changed."""

    takes_labels = True
    making: ClassVar[str]
    """Operation that makes it."""
    path: ClassVar[tuple[str, ...]]
    """Where its id stands in the answer."""
    deletion: ClassVar[tuple[str, str]]
    """Method that deletes it, and the parameter that takes its id."""
    given: ClassVar[tuple[str, ...]]
    """Properties that the operation takes under the same name."""

    also: ClassVar[tuple[str, ...]] = ("Tags",)
    """Further properties that it has."""

    @override
    def refuse_unknown(self, properties: Properties) -> None:
        refuse_extraneous(self.type.rsplit("::", 1)[1], "#", properties.keys() - {*self.given, *self.also})

    @override
    def needs_replacement(self, properties: Properties, before: Properties) -> bool:
        return any(properties.get(name) != before.get(name) for name in self.given)

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        made: Any = self._make(region.client("ec2"), properties)
        for step in self.path:
            made = made[step]
        return str(made)

    def _make(self, ec2: Any, properties: Properties) -> Any:
        request = {name: properties[name] for name in self.given if name in properties}
        method = getattr(ec2, _method(ec2, self.making))
        return method(**as_operation_takes(ec2, self.making, request))

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        _retag(region.client("ec2"), region.labels, physical_id, properties, before)

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        method, parameter = self.deletion
        getattr(region.client("ec2"), method)(**{parameter: physical_id})


class Vpc(Made):
    """AWS::EC2::VPC."""

    type = "AWS::EC2::VPC"
    making, path = "CreateVpc", ("Vpc", "VpcId")
    deletion = ("delete_vpc", "VpcId")
    given = ("CidrBlock", "InstanceTenancy")
    also = ("EnableDnsHostnames", "EnableDnsSupport", "Tags")
    _SWITCHES: ClassVar[dict[str, bool]] = {"EnableDnsSupport": True, "EnableDnsHostnames": False}

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        super().apply(region, physical_id, properties, before)
        for switch, default in self._SWITCHES.items():
            value = as_text(properties.get(switch, default)) == "true"
            region.client("ec2").modify_vpc_attribute(VpcId=physical_id, **{switch: {"Value": value}})

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("ec2").describe_vpcs(VpcIds=[physical_id])["Vpcs"][0]
        return {"VpcId": physical_id, "CidrBlock": found["CidrBlock"]}


class Subnet(Made):
    """AWS::EC2::Subnet."""

    type = "AWS::EC2::Subnet"
    making, path = "CreateSubnet", ("Subnet", "SubnetId")
    deletion = ("delete_subnet", "SubnetId")
    given = ("AvailabilityZone", "CidrBlock", "VpcId")
    also = ("MapPublicIpOnLaunch", "Tags")

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        super().apply(region, physical_id, properties, before)
        public = as_text(properties.get("MapPublicIpOnLaunch", False)) == "true"
        region.client("ec2").modify_subnet_attribute(
            SubnetId=physical_id, MapPublicIpOnLaunch={"Value": public}
        )

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("ec2").describe_subnets(SubnetIds=[physical_id])["Subnets"][0]
        return {"SubnetId": physical_id, **{name: found[name] for name in self.given}}


class RouteTable(Made):
    """AWS::EC2::RouteTable."""

    type = "AWS::EC2::RouteTable"
    making, path = "CreateRouteTable", ("RouteTable", "RouteTableId")
    deletion = ("delete_route_table", "RouteTableId")
    given = ("VpcId",)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"RouteTableId": physical_id}


class SubnetRouteTableAssociation(Made):
    """AWS::EC2::SubnetRouteTableAssociation."""

    type = "AWS::EC2::SubnetRouteTableAssociation"
    making, path = "AssociateRouteTable", ("AssociationId",)
    deletion = ("disassociate_route_table", "AssociationId")
    given = ("RouteTableId", "SubnetId")

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        """Do nothing: an association has no tags."""


class Route(Made):
    """AWS::EC2::Route to a gateway."""

    type = "AWS::EC2::Route"
    making, path = "CreateRoute", ()
    given = ("DestinationCidrBlock", "GatewayId", "NatGatewayId", "RouteTableId")

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        self._make(region.client("ec2"), properties)
        return f"{properties['RouteTableId']}|{properties['DestinationCidrBlock']}"

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        """Do nothing: a route has no tags."""

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        table, _, destination = physical_id.partition("|")
        region.client("ec2").delete_route(RouteTableId=table, DestinationCidrBlock=destination)


class InternetGateway(Made):
    """AWS::EC2::InternetGateway."""

    type = "AWS::EC2::InternetGateway"
    making, path = "CreateInternetGateway", ("InternetGateway", "InternetGatewayId")
    deletion = ("delete_internet_gateway", "InternetGatewayId")
    given = ()

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"InternetGatewayId": physical_id}


class VpcGatewayAttachment(Made):
    """AWS::EC2::VPCGatewayAttachment of an internet gateway."""

    type = "AWS::EC2::VPCGatewayAttachment"
    making, path = "AttachInternetGateway", ()
    given = ("InternetGatewayId", "VpcId")

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        self._make(region.client("ec2"), properties)
        return f"IGW|{properties['VpcId']}"

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        """Do nothing: an attachment has no tags."""

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        given = {name: properties[name] for name in self.given}
        region.client("ec2").detach_internet_gateway(**given)


class Eip(Made):
    """AWS::EC2::EIP; its physical id is the address."""

    type = "AWS::EC2::EIP"
    making, path = "AllocateAddress", ("PublicIp",)
    given = ("Domain",)

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        allocation = self.attributes(region, physical_id)["AllocationId"]
        super().apply(region, allocation, properties, before)

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("ec2").describe_addresses(PublicIps=[physical_id])["Addresses"][0]
        return {"AllocationId": found["AllocationId"], "PublicIp": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        allocation = self.attributes(region, physical_id)["AllocationId"]
        region.client("ec2").release_address(AllocationId=allocation)


class NatGateway(Made):
    """AWS::EC2::NatGateway."""

    type = "AWS::EC2::NatGateway"
    making, path = "CreateNatGateway", ("NatGateway", "NatGatewayId")
    given = ("AllocationId", "SubnetId")

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"NatGatewayId": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        ec2 = region.client("ec2")
        ec2.delete_nat_gateway(NatGatewayId=physical_id)
        while _is_there(ec2, physical_id):
            time.sleep(_DELETION_LOOKS_S)


class VpcEndpoint(Made):
    """AWS::EC2::VPCEndpoint."""

    type = "AWS::EC2::VPCEndpoint"
    making, path = "CreateVpcEndpoint", ("VpcEndpoint", "VpcEndpointId")
    given = (
        "PrivateDnsEnabled",
        "RouteTableIds",
        "SecurityGroupIds",
        "ServiceName",
        "SubnetIds",
        "VpcEndpointType",
        "VpcId",
    )

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        return {"Id": physical_id}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[physical_id])


class SecurityGroupIngress(Made):
    """AWS::EC2::SecurityGroupIngress from another group."""

    type = "AWS::EC2::SecurityGroupIngress"
    given = ("Description", "FromPort", "GroupId", "IpProtocol", "SourceSecurityGroupId", "ToPort")

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        self._rule(region.client("ec2").authorize_security_group_ingress, properties)
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        """Do nothing: another rule takes its place."""

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        self._rule(region.client("ec2").revoke_security_group_ingress, properties)

    def _rule(self, call: Any, properties: Properties) -> None:
        ports = {name: int(properties[name]) for name in ("FromPort", "ToPort") if name in properties}
        described = {"Description": properties["Description"]} if "Description" in properties else {}
        source = {"GroupId": properties["SourceSecurityGroupId"], **described}
        rule = {"IpProtocol": str(properties["IpProtocol"]), **ports, "UserIdGroupPairs": [source]}
        call(GroupId=properties["GroupId"], IpPermissions=[rule])


class FlowLog(Made):
    """AWS::EC2::FlowLog of one resource."""

    type = "AWS::EC2::FlowLog"
    making = "CreateFlowLogs"
    given = (
        "DeliverLogsPermissionArn",
        "LogDestinationType",
        "LogGroupName",
        "ResourceId",
        "ResourceType",
        "TrafficType",
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        request = {key: value for key, value in properties.items() if key in self.given}
        request["ResourceIds"] = [request.pop("ResourceId")]
        return str(region.client("ec2").create_flow_logs(**request)["FlowLogIds"][0])

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("ec2").delete_flow_logs(FlowLogIds=[physical_id])


KINDS = (
    Eip(),
    FlowLog(),
    InternetGateway(),
    NatGateway(),
    Route(),
    RouteTable(),
    SecurityGroupIngress(),
    Subnet(),
    SubnetRouteTableAssociation(),
    Vpc(),
    VpcEndpoint(),
    VpcGatewayAttachment(),
)


def _method(ec2: Any, operation: str) -> str:
    methods: dict[str, str] = ec2.meta.method_to_api_mapping
    return next(method for method, name in methods.items() if name == operation)


def _is_there(ec2: Any, gateway: str) -> bool:
    try:
        found = ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"]
    except ClientError:
        return False
    return bool(found) and found[0]["State"] != "deleted"


def _retag(
    ec2: Any, labels: Mapping[str, str], physical_id: str, properties: Properties, before: Properties
) -> None:
    stale = tag_map(before).keys() - tag_map(properties).keys()
    if stale:
        ec2.delete_tags(Resources=[physical_id], Tags=[{"Key": key} for key in sorted(stale)])
    tags = {**labels, **tag_map(properties)}
    ec2.create_tags(
        Resources=[physical_id], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )

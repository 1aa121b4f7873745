from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws_support import make_client
from test_faults import code, manage, throttle

# What makes one product of many: without any of these there is a choice, and the first one may be free.
ON_DEMAND = {
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "preInstalledSw": "NA",
    "licenseModel": "No License required",
    "marketoption": "OnDemand",
}


@pytest.fixture(scope="session")
def pricing(client: Any) -> Any:
    return client("pricing")


@pytest.fixture(scope="session")
def ec2(client: Any) -> Any:
    return client("ec2")


def find(pricing: Any, **fields: str) -> list[Any]:
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in fields.items()]
    pages = pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters)
    return [json.loads(text) for page in pages for text in page["PriceList"]]


def prices(product: Any, term: str = "OnDemand") -> list[tuple[float, str]]:
    rates = [rate for one in product["terms"][term].values() for rate in one["priceDimensions"].values()]
    return [(float(rate["pricePerUnit"]["USD"]), rate["unit"]) for rate in rates]


def instance(region: str, type_name: str, system: str = "Linux") -> dict[str, str]:
    return {"regionCode": region, "instanceType": type_name, "operatingSystem": system, **ON_DEMAND}


@pytest.mark.parametrize(
    ("region", "type_name", "system", "price"),
    [
        ("us-east-1", "t3.micro", "Linux", 0.0104),
        ("eu-west-1", "m5.large", "Linux", 0.107),
        ("eu-central-1", "g4dn.xlarge", "Linux", 0.658),
        ("us-east-1", "m5.large", "Windows", 0.188),
        ("us-east-1", "m5.large", "RHEL", 0.1248),
    ],
)
def test_an_instance_has_one_price_on_demand(pricing, region, type_name, system, price):
    (product,) = find(pricing, **instance(region, type_name, system))
    assert product["product"]["productFamily"] == "Compute Instance"
    assert product["product"]["attributes"]["servicecode"] == product["serviceCode"] == "AmazonEC2"
    assert prices(product) == [(pytest.approx(price), "Hrs")]
    assert product["publicationDate"]
    assert product["version"]


@pytest.mark.parametrize("left_out", sorted(ON_DEMAND))
def test_every_filter_matters(pricing, left_out):
    type_name = "p4d.24xlarge" if left_out == "marketoption" else "m5.large"
    system = "Windows" if left_out == "licenseModel" else "Linux"
    wanted = instance("us-east-1", type_name, system)
    assert len(find(pricing, **wanted)) == 1
    del wanted[left_out]
    assert len(find(pricing, **wanted)) > 1


def test_what_must_not_be_taken_for_the_price_is_in_the_list(pricing):
    wanted = {"regionCode": "us-east-1", "instanceType": "m5.large", "operatingSystem": "Linux"}
    (reserved,) = find(pricing, **wanted, capacitystatus="AllocatedCapacityReservation")
    assert prices(reserved) == [(0, "Hrs")]
    (unused,) = find(pricing, **wanted, capacitystatus="UnusedCapacityReservation")
    assert prices(unused) == [(0.096, "Hrs")]
    (dedicated,) = find(pricing, **wanted, tenancy="Dedicated")
    assert prices(dedicated)[0][0] > 0.096
    assert find(pricing, **wanted, preInstalledSw="SQL Std")
    (product,) = find(pricing, **instance("us-east-1", "m5.large"))
    units = {unit for _, unit in prices(product, "Reserved")}
    assert units == {"Hrs", "Quantity"}


@pytest.mark.parametrize(
    ("region", "name", "price"),
    [("us-east-1", "gp3", 0.08), ("eu-west-1", "gp2", 0.11), ("eu-central-1", "st1", 0.054)],
)
def test_storage_has_a_price_a_gigabyte_and_month(pricing, region, name, price):
    (product,) = find(pricing, regionCode=region, productFamily="Storage", volumeApiName=name)
    assert prices(product) == [(price, "GB-Mo")]


def test_what_is_not_offered_is_not_found(pricing):
    assert find(pricing, **instance("eu-central-1", "p4d.24xlarge")) == []
    assert find(pricing, **instance("us-east-1", "x9.huge")) == []
    assert find(pricing, **instance("mars-1", "m5.large")) == []


def test_products_come_in_pages(pricing):
    given = {"ServiceCode": "AmazonEC2", "MaxResults": 40}
    first = pricing.get_products(**given)
    second = pricing.get_products(NextToken=first["NextToken"], **given)
    assert (len(first["PriceList"]), first["FormatVersion"]) == (40, "aws_v1")
    assert not set(first["PriceList"]) & set(second["PriceList"])
    everything = find(pricing)
    skus = {product["product"]["sku"] for product in everything}
    assert len(skus) == len(everything) > 500
    with pytest.raises(ClientError) as caught:
        pricing.get_products(NextToken="nonsense", **given)
    assert code(caught) == "InvalidNextTokenException"


@pytest.mark.parametrize(
    ("kind", "value", "types"),
    [
        ("EQUALS", "t3.micro", {"t3.micro"}),
        ("CONTAINS", "t3.", {"t3.micro", "t3.medium", "t3.large"}),
        ("ANY_OF", "t3.micro,c5.large", {"t3.micro", "c5.large"}),
    ],
)
def test_filters_compare_as_asked(pricing, kind, value, types):
    filters = [{"Type": kind, "Field": "instanceType", "Value": value}]
    found = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters, MaxResults=100)["PriceList"]
    assert {json.loads(one)["product"]["attributes"]["instanceType"] for one in found} <= types
    names = pricing.get_attribute_values(ServiceCode="AmazonEC2", AttributeName="instanceType")
    assert types <= {one["Value"] for one in names["AttributeValues"]}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"Filters": [{"Type": "TERM_MATCH", "Field": "colour", "Value": "x"}]}, "InvalidParameterException"),
        ({"Filters": [{"Type": "LIKE", "Field": "location", "Value": "x"}]}, "InvalidParameterException"),
        ({"FormatVersion": "aws_v2"}, "InvalidParameterException"),
        ({"MaxResults": 101}, "InvalidParameterException"),
        ({"ServiceCode": "AmazonNothing"}, "NotFoundException"),
    ],
)
def test_what_the_list_does_not_understand_is_refused(pricing, changes, error):
    with pytest.raises(ClientError) as caught:
        pricing.get_products(**{"ServiceCode": "AmazonEC2"} | changes)
    assert code(caught) == error


def test_the_services_and_their_attributes_are_told(pricing):
    (service,) = pricing.describe_services()["Services"]
    assert service["ServiceCode"] == "AmazonEC2"
    assert {"regionCode", "instanceType", "volumeApiName"} <= set(service["AttributeNames"])


def test_the_list_is_only_in_the_regions_that_have_it_in_the_cloud(local_aws):
    import boto3

    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    elsewhere = boto3.client("pricing", region_name="eu-west-1", endpoint_url=local_aws, **keys)
    with pytest.raises(ClientError, match="no endpoint in eu-west-1"):
        elsewhere.describe_services()


def test_the_list_can_be_made_to_fail(local_aws, pricing):
    throttle(local_aws, "pricing", "GetProducts")
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        pricing.get_products(ServiceCode="AmazonEC2")
    assert code(caught) == "ThrottlingException"
    assert manage(local_aws, "GET") == []


def history(ec2: Any, **asked: Any) -> list[Any]:
    pages = ec2.get_paginator("describe_spot_price_history").paginate(**asked)
    return [one for page in pages for one in page["SpotPriceHistory"]]


def test_spot_prices_are_a_third_of_those_on_demand_in_every_zone(ec2):
    now = datetime.now(UTC)
    asked = {"InstanceTypes": ["m5.large"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": now}
    found = history(ec2, **asked)
    assert sorted(one["AvailabilityZone"] for one in found) == ["us-east-1a", "us-east-1b", "us-east-1c"]
    for one in found:
        assert 0.31 < float(one["SpotPrice"]) / 0.096 < 0.39
        assert one["Timestamp"] <= now  # the price at that moment was set before it
        assert (one["InstanceType"], one["ProductDescription"]) == ("m5.large", "Linux/UNIX")
    assert history(ec2, **asked) == found


def test_the_history_is_told_newest_first_and_between_two_times(ec2):
    now = datetime.now(UTC)
    asked = {"InstanceTypes": ["t3.micro"], "AvailabilityZone": "us-east-1b"}
    found = history(ec2, StartTime=now - timedelta(days=5), **asked)
    moments = [one["Timestamp"] for one in found]
    assert moments == sorted(moments, reverse=True)
    assert {one["AvailabilityZone"] for one in found} == {"us-east-1b"}
    assert {one["ProductDescription"] for one in found} > {"Linux/UNIX", "Windows"}
    earlier = history(ec2, EndTime=now - timedelta(days=3), StartTime=now - timedelta(days=5), **asked)
    assert max(one["Timestamp"] for one in earlier) <= now - timedelta(days=3)
    assert len(history(ec2, InstanceTypes=["t3.micro"])) > 1000


def test_filters_and_words_on_the_vpc_are_understood(ec2):
    now = datetime.now(UTC)
    filters = [
        {"Name": "instance-type", "Values": ["c5.*"]},
        {"Name": "availability-zone", "Values": ["us-east-1a"]},
    ]
    asked = {"ProductDescriptions": ["Linux/UNIX (Amazon VPC)"], "StartTime": now}
    found = history(ec2, Filters=filters, **asked)
    assert sorted(one["InstanceType"] for one in found) == ["c5.large", "c5.xlarge"]


def test_spot_prices_of_what_is_not_offered_are_none(ec2, local_aws):
    assert history(ec2, InstanceTypes=["x9.huge"]) == []
    assert history(ec2, InstanceTypes=["p4d.24xlarge"], ProductDescriptions=["Windows"]) == []
    with pytest.raises(ClientError) as caught:
        ec2.describe_spot_price_history(Filters=[{"Name": "colour", "Values": ["x"]}])
    assert code(caught) == "InvalidParameterValue"


def test_the_history_can_be_made_to_fail(local_aws):
    throttle(local_aws, "ec2", "DescribeSpotPriceHistory", error="RequestLimitExceeded", status=503)
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        make_client(local_aws, "ec2").describe_spot_price_history()
    assert code(caught) == "RequestLimitExceeded"

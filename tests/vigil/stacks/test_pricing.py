"""Prices as AWS tells them, and none when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.vigil.stacks.test_config import parse
from vigil.aws import Aws
from vigil.errors import SettingsError
from vigil.stacks.config import TrainingStackConfig
from vigil.stacks.pricing import (
    HOURS_A_MONTH,
    PriceUnavailableError,
    on_demand_price,
    price_at_launch,
    spot_price,
    volume_price,
)
from vigil.windows import now

LINUX = "Linux/UNIX"


def config(**changes: Any) -> TrainingStackConfig:
    return parse(instance_type="m5.large", **changes)


@pytest.fixture
def failing_price_list(aws: Aws, local_aws: str) -> Iterator[None]:
    fault = {"service": "pricing", "operation": "GetProducts", "error": "AccessDeniedException", "times": 99}
    requests.post(f"{local_aws}/_faults", json=fault, timeout=10).raise_for_status()
    yield
    requests.delete(f"{local_aws}/_faults", timeout=10).raise_for_status()


def test_the_price_is_of_instance_and_volume(aws: Aws) -> None:
    price = price_at_launch(aws, config(volume_size_gb=73), LINUX, now())
    pricing = aws.client("pricing")
    assert price.instance_usd == on_demand_price(pricing, "m5.large", "eu-west-1", LINUX)
    assert price.volume_usd == pytest.approx(volume_price(pricing, "gp3", "eu-west-1") * 73 / HOURS_A_MONTH)
    assert price.usd == price.instance_usd + price.volume_usd
    assert price.source == "AWS Price List"


def test_the_price_is_that_of_the_system_and_the_region(aws: Aws) -> None:
    pricing = aws.client("pricing")
    prices = {
        on_demand_price(pricing, "m5.large", region, system)
        for region in ("eu-west-1", "us-east-1")
        for system in (LINUX, "Windows", "Red Hat Enterprise Linux")
    }
    assert len(prices) == 6


@pytest.mark.parametrize(("instance_type", "platform"), [("m5.moon", LINUX), ("m5.large", "OS/2")])
def test_what_the_price_list_does_not_have_exactly_once_is_no_price(
    aws: Aws, instance_type: str, platform: str
) -> None:
    with pytest.raises(PriceUnavailableError):
        on_demand_price(aws.client("pricing"), instance_type, "eu-west-1", platform)


def test_a_spot_price_comes_from_the_history_and_is_the_dearest_zones(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    price = price_at_launch(aws, config(purchase="spot"), LINUX, now())
    assert price.source == "spot price history"
    by_zone = {
        entry["AvailabilityZone"]: float(entry["SpotPrice"])
        for entry in ec2.describe_spot_price_history(
            InstanceTypes=["m5.large"], ProductDescriptions=[LINUX], StartTime=now()
        )["SpotPriceHistory"]
    }
    assert price.instance_usd == max(by_zone.values())
    zone = min(by_zone, key=lambda zone: by_zone[zone])
    assert spot_price(ec2, "m5.large", LINUX, zone, now()) == by_zone[zone]


def test_a_spot_instance_of_which_there_is_no_history_has_no_price(aws: Aws) -> None:
    with pytest.raises(SettingsError, match=r"EC2 has no spot price of m5\.moon"):
        price_at_launch(aws, parse(instance_type="m5.moon", purchase="spot"), LINUX, now())


def test_a_spot_maximum_is_what_costs_are_reckoned_with(aws: Aws) -> None:
    price = price_at_launch(aws, config(purchase="spot", spot_max_price=0.5), LINUX, now())
    assert price.instance_usd == 0.5


@pytest.mark.usefixtures("failing_price_list")
def test_without_a_price_list_the_configurations_price_is_taken(aws: Aws) -> None:
    price = price_at_launch(aws, config(hourly_price=1.5), LINUX, now())
    assert (price.usd, price.source) == (1.5, "hourly-price of the configuration")


@pytest.mark.usefixtures("failing_price_list")
def test_without_any_price_the_launch_is_refused_with_the_reason_and_the_way_out(aws: Aws) -> None:
    with pytest.raises(SettingsError, match="never guessed: set hourly-price") as refused:
        price_at_launch(aws, config(), LINUX, now())
    assert "AccessDenied" in str(refused.value)

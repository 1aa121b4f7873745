"""What an instance and its volume cost an hour, asked of AWS at the launch and never guessed.

On-demand prices come from the Price List, spot prices from EC2's own history: the Price List has none. AWS:
"Using the AWS Price List Query API" and "DescribeSpotPriceHistory".
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from vigil.aws import Aws
from vigil.errors import SettingsError
from vigil.stacks.config import TrainingStackConfig

HOURS_A_MONTH = 730  # as AWS reckons what is billed by the month
_SYSTEMS = {
    # What EC2 says of an image, and what the Price List calls it.
    "Linux/UNIX": "Linux",
    "Red Hat Enterprise Linux": "RHEL",
    "SUSE Linux": "SUSE",
    "Windows": "Windows",
}
log = logging.getLogger(__name__)


class PriceUnavailableError(Exception):
    """AWS does not tell a price; the message says why."""


@dataclass(frozen=True)
class HourlyPrice:
    """What a stack costs an hour, frozen at the launch.

    Attributes:
        instance_usd: of the instance.
        volume_usd: of its volume.
        source: where the price comes from, for people.
    """

    instance_usd: float
    volume_usd: float
    source: str

    @property
    def usd(self) -> float:
        """Return the price of both."""
        return self.instance_usd + self.volume_usd


def price_at_launch(aws: Aws, config: TrainingStackConfig, platform: str, now: datetime) -> HourlyPrice:
    """Return what a stack costs an hour: as AWS says, else as the configuration does.

    Args:
        aws: clients.
        config: of the stack.
        platform: what EC2 says of the image, as in `Linux/UNIX`.
        now: the present time.

    Raises:
        SettingsError: neither tells a price.
    """
    try:
        return _asked(aws, config, platform, now)
    except (PriceUnavailableError, ClientError, BotoCoreError) as error:
        if config.hourly_price is None:
            raise SettingsError(
                f"There is no price of {config.instance_type}: {error}. Costs are never guessed: set "
                "hourly-price in the configuration, in USD for instance and volume, or mend the cause."
            ) from error
        log.warning("AWS tells no price of %s: %s. hourly-price is taken.", config.instance_type, error)
        return HourlyPrice(config.hourly_price, 0.0, "hourly-price of the configuration")


def _asked(aws: Aws, config: TrainingStackConfig, platform: str, now: datetime) -> HourlyPrice:
    region = aws.session.region_name
    pricing = aws.client("pricing")
    volume = volume_price(pricing, config.volume_type, region) * config.volume_size_gb / HOURS_A_MONTH
    if config.purchase == "on-demand":
        return HourlyPrice(
            on_demand_price(pricing, config.instance_type, region, platform), volume, "AWS Price List"
        )
    if config.spot_max_price is not None:
        return HourlyPrice(config.spot_max_price, volume, "spot-max-price of the configuration")
    zone = _zone_of(aws.client("ec2"), config.subnet_id)
    return HourlyPrice(
        spot_price(aws.client("ec2"), config.instance_type, platform, zone, now),
        volume,
        "spot price history",
    )


def on_demand_price(pricing: Any, instance_type: str, region: str, platform: str) -> float:
    """Return the on-demand price of an instance, in USD an hour.

    Args:
        pricing: client.
        instance_type: as in `m5.large`.
        region: code, as in `eu-west-1`.
        platform: what EC2 says of the image.

    Raises:
        PriceUnavailableError: the Price List does not have exactly one.
    """
    if platform not in _SYSTEMS:
        raise PriceUnavailableError(f"the Price List's name of the system {platform!r} is not known")
    filters = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": _SYSTEMS[platform],
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "licenseModel": "No License required",
    }
    return _only_price(pricing, filters, f"{instance_type} with {_SYSTEMS[platform]} in {region}", "Hrs")


def volume_price(pricing: Any, volume_type: str, region: str) -> float:
    """Return the price of a volume, in USD a month for one GB.

    Raises:
        PriceUnavailableError: the Price List does not have exactly one.
    """
    filters = {"productFamily": "Storage", "volumeApiName": volume_type, "regionCode": region}
    return _only_price(pricing, filters, f"{volume_type} volumes in {region}", "GB-Mo")


def spot_price(ec2: Any, instance_type: str, platform: str, zone: str | None, now: datetime) -> float:
    """Return the present spot price of an instance, in USD an hour; the dearest zone's if none is chosen.

    Raises:
        PriceUnavailableError: EC2 knows none.
    """
    where = {"AvailabilityZone": zone} if zone else {}
    history = ec2.describe_spot_price_history(
        InstanceTypes=[instance_type], ProductDescriptions=[platform], StartTime=now, **where
    )["SpotPriceHistory"]
    if not history:
        raise PriceUnavailableError(
            f"EC2 has no spot price of {instance_type} with {platform} in {zone or 'any zone of the region'}"
        )
    newest: dict[str, Any] = {}
    for entry in sorted(history, key=lambda entry: entry["Timestamp"]):
        newest[entry["AvailabilityZone"]] = entry
    return max(float(entry["SpotPrice"]) for entry in newest.values())


def _zone_of(ec2: Any, subnet_id: str | None) -> str | None:
    if subnet_id is None:
        return None
    (subnet,) = ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"]
    return str(subnet["AvailabilityZone"])


def _only_price(pricing: Any, filters: dict[str, str], what: str, unit: str) -> float:
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()],
    )
    products = [json.loads(product) for page in pages for product in page["PriceList"]]
    prices = {price for product in products for price in _prices_of(product, unit)}
    if len(prices) != 1:
        raise PriceUnavailableError(f"the Price List has {len(prices)} prices of {what}, not one")
    return prices.pop()


def _prices_of(product: dict[str, Any], unit: str) -> list[float]:
    """Return the prices of a product's on-demand terms; what is free is no offer."""
    dimensions = [
        dimension
        for term in product["terms"].get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
    ]
    found = [float(one["pricePerUnit"].get("USD", 0)) for one in dimensions if one["unit"] == unit]
    return [price for price in found if price > 0]

"""The products of the price list, each with its attributes and terms as the cloud writes them.

Like the real list it holds, beside what one wants, what one must not mistake for it: dedicated tenancy,
capacity reserved, licences brought along, software installed, capacity blocks, and terms not on demand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

SERVICE = "AmazonEC2"
_DATA = Path(__file__).with_name("prices.yaml")
_SERVICE_NAME = "Amazon Elastic Compute Cloud"
# The part of a rate that names its term, its price an hour and its price once, the same for every product.
_ON_DEMAND, _HOURLY, _UPFRONT = "JRTCKXETXF", "6YS6EN2CT7", "2TG2D8R56U"
_NO_UPFRONT_1_YEAR, _ALL_UPFRONT_1_YEAR = "4NA7Y494T4", "6QCMYABX3D"
_HOURS_A_YEAR = 8760
_OPERATIONS = {
    "Linux": "RunInstances",
    "Windows": "RunInstances:0002",
    "RHEL": "RunInstances:0010",
    "SUSE": "RunInstances:000g",
}


@dataclass(frozen=True)
class Product:
    """One product: what it is, and what it costs by each kind of term."""

    sku: str
    family: str
    attributes: Mapping[str, str]
    terms: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Give the product as the price list does."""
        return {
            "product": {"productFamily": self.family, "attributes": self.attributes, "sku": self.sku},
            "serviceCode": SERVICE,
            "terms": self.terms,
            "version": data()["as_of"].translate({ord(sign): None for sign in "-:TZ"}),
            "publicationDate": data()["as_of"],
        }


@dataclass(frozen=True)
class _Offer:
    """One way to have an instance of a type, and what it costs."""

    system: str
    hourly: float
    usage: str = "BoxUsage"
    operation: str = ""
    tenancy: str = "Shared"
    capacity: str = "Used"
    software: str = "NA"
    licence: str = "No License required"
    market: str = "OnDemand"


@cache
def data() -> dict[str, Any]:
    """Read the prices."""
    found: dict[str, Any] = yaml.safe_load(_DATA.read_text(encoding="utf-8"))
    return found


@cache
def products() -> tuple[Product, ...]:
    """List every product."""
    return tuple(_products())


def _products() -> Iterator[Product]:
    for region, place in data()["regions"].items():
        for type_name, instance in data()["instances"].items():
            for offer in _offers(type_name, instance, region):
                yield _instance(type_name, instance["attributes"], offer, region, place)
        for api_name, volume in data()["storage"].items():
            yield _storage(api_name, volume, region, place)


def _offers(type_name: str, instance: Mapping[str, Any], region: str) -> Iterator[_Offer]:
    linux = instance["hourly"].get(region)
    if linux is None:
        return
    for system, on_top in {"Linux": 0, **instance["on_top"]}.items():
        hourly = linux + on_top
        yield _Offer(system, hourly)
        yield _Offer(system, hourly, "UnusedBox", capacity="UnusedCapacityReservation")
        yield _Offer(system, 0, "Reservation", capacity="AllocatedCapacityReservation")
        yield _Offer(system, hourly * 1.06, "DedicatedUsage", tenancy="Dedicated")
        yield _Offer(system, 0, "HostBoxUsage", tenancy="Host")
        if system == "Windows":
            own = "Bring your own license"
            yield _Offer(system, linux, operation="RunInstances:0800", licence=own)
        sql = data()["sql_server_standard"].get(type_name)
        if sql and system in ("Linux", "Windows"):
            operation = {"Linux": "RunInstances:0200", "Windows": "RunInstances:0006"}[system]
            yield _Offer(system, hourly + sql, operation=operation, software="SQL Std")
    if type_name.startswith("p4d"):
        yield _Offer("Linux", 0, "CapacityBlock", market="CapacityBlock")


def _instance(
    type_name: str, given: Mapping[str, str], offer: _Offer, region: str, place: Mapping[str, str]
) -> Product:
    attributes = {
        "availabilityzone": "NA",
        "capacitystatus": offer.capacity,
        "currentGeneration": "Yes",
        "instanceType": type_name,
        "licenseModel": offer.licence,
        "marketoption": offer.market,
        "operatingSystem": offer.system,
        "preInstalledSw": offer.software,
        "processorArchitecture": "64-bit",
        "tenancy": offer.tenancy,
        **given,
        **_common(region, place, f"{offer.usage}:{type_name}", offer.operation or _OPERATIONS[offer.system]),
    }
    sku = _sku(attributes)
    what = f"{offer.system} {type_name} Instance Hour"
    terms = {"OnDemand": _term(sku, _ON_DEMAND, _rate(what, "Hrs", offer.hourly))}
    if (offer.tenancy, offer.capacity, offer.market) == ("Shared", "Used", "OnDemand"):
        terms["Reserved"] = _reserved(sku, type_name, offer.hourly)
    return Product(sku, "Compute Instance", attributes, terms)


def _storage(api_name: str, volume: Mapping[str, Any], region: str, place: Mapping[str, str]) -> Product:
    attributes = {
        "volumeApiName": api_name,
        "volumeType": volume["volumeType"],
        "storageMedia": volume["storageMedia"],
        "maxVolumeSize": "16 TiB",
        **_common(region, place, f"EBS:{volume['usage']}", ""),
    }
    sku = _sku(attributes)
    rate = _rate(f"GB-month of {volume['volumeType']} ({api_name})", "GB-Mo", volume["monthly"][region])
    return Product(sku, "Storage", attributes, {"OnDemand": _term(sku, _ON_DEMAND, rate)})


def _common(region: str, place: Mapping[str, str], usage: str, operation: str) -> dict[str, str]:
    return {
        "location": place["location"],
        "locationType": "AWS Region",
        "operation": operation,
        "regionCode": region,
        "servicecode": SERVICE,
        "servicename": _SERVICE_NAME,
        "usagetype": f"{place['usage_prefix']}{usage}",
    }


def _reserved(sku: str, type_name: str, hourly: float) -> dict[str, Any]:
    month_by_month = _rate(f"{type_name} reserved instance applied", "Hrs", hourly * 0.63)
    nothing_more = _rate(f"{type_name} reserved instance applied", "Hrs", 0)
    upfront = _rate("Upfront Fee", "Quantity", round(hourly * 0.59 * _HOURS_A_YEAR), _UPFRONT)
    standard = {"LeaseContractLength": "1yr", "OfferingClass": "standard"}
    return _term(
        sku, _NO_UPFRONT_1_YEAR, month_by_month, standard | {"PurchaseOption": "No Upfront"}
    ) | _term(sku, _ALL_UPFRONT_1_YEAR, nothing_more | upfront, standard | {"PurchaseOption": "All Upfront"})


def _term(
    sku: str, term: str, rates: Mapping[str, Any], attributes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    code = f"{sku}.{term}"
    return {
        code: {
            "sku": sku,
            "offerTermCode": term,
            "effectiveDate": data()["as_of"],
            "termAttributes": dict(attributes or {}),
            "priceDimensions": {
                f"{code}.{name}": {"rateCode": f"{code}.{name}", **rate} for name, rate in rates.items()
            },
        }
    }


def _rate(what: str, unit: str, price: float, name: str = _HOURLY) -> dict[str, Any]:
    text = f"{price:.10f}"
    return {
        name: {
            "unit": unit,
            "beginRange": "0",
            "endRange": "Inf",
            "description": f"${price:.6g} per {what}",
            "appliesTo": [],
            "pricePerUnit": {"USD": text},
        }
    }


def _sku(attributes: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(attributes.items())).encode()).digest()
    letters = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
    return "".join(letters[byte % len(letters)] for byte in digest[:16])

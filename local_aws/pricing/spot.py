"""EC2's DescribeSpotPriceHistory: prices that change once a day, each in its own zone, and never by chance.

Moto has one price for all, of the year 2006.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request, Response

from local_aws.pricing.catalog import data

_SHARE, _SPREAD = 0.35, 0.03  # of the on-demand price; the cloud's own varies more
_KEPT = timedelta(days=90)
_DAY = timedelta(days=1)
_SYSTEMS = {
    "Linux/UNIX": "Linux",
    "Red Hat Enterprise Linux": "RHEL",
    "SUSE Linux": "SUSE",
    "Windows": "Windows",
}
_VPC = " (Amazon VPC)"
_FILTERS = ("availability-zone", "instance-type", "product-description", "spot-price", "timestamp")
_MOST = 1000


class _RefusalError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class _Price:
    instance_type: str
    product: str
    zone: str
    price: str
    since: datetime

    def value(self, name: str) -> str:
        """Give what a filter asks for."""
        return {
            "availability-zone": self.zone,
            "instance-type": self.instance_type,
            "product-description": self.product,
            "spot-price": self.price,
            "timestamp": self.since.isoformat(),
        }[name]


def answer(request: Request, region: str) -> Response:
    """Answer one call."""
    try:
        body = _history(request.values, region)
    except _RefusalError as refusal:
        error = f"<Error><Code>{refusal.code}</Code><Message>{escape(str(refusal))}</Message></Error>"
        body = f"<Response><Errors>{error}</Errors><RequestID>{uuid4()}</RequestID></Response>"
        return Response(body, 400, content_type="text/xml")
    return Response(body, content_type="text/xml")


def _history(asked: MultiDict[str, str], region: str) -> str:
    now = datetime.now(UTC)
    start = max(_moment(asked, "StartTime") or now - _KEPT, now - _KEPT)
    end = min(_moment(asked, "EndTime") or now, now)
    wanted = _wanted(asked)
    found = [
        price
        for price in _prices(region, start, end)
        if all(any(fnmatchcase(price.value(name), one) for one in values) for name, values in wanted.items())
    ]
    found.sort(key=lambda price: (price.since, price.instance_type, price.zone, price.product), reverse=True)
    first, most = _number(asked, "NextToken", 0), _number(asked, "MaxResults", _MOST)
    token = str(first + most) if first + most < len(found) else ""
    items = "".join(_item(price) for price in found[first : first + most])
    return (
        '<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>{uuid4()}</requestId><spotPriceHistorySet>{items}</spotPriceHistorySet>"
        f"<nextToken>{token}</nextToken></DescribeSpotPriceHistoryResponse>"
    )


def _wanted(asked: MultiDict[str, str]) -> dict[str, list[str]]:
    """Collect what is asked for, by the names of filters."""
    wanted = {
        "instance-type": _list(asked, "InstanceType"),
        "product-description": _list(asked, "ProductDescription"),
        "availability-zone": _list(asked, "AvailabilityZone"),
    }
    number = 1
    while name := asked.get(f"Filter.{number}.Name"):
        if name not in _FILTERS:
            raise _RefusalError("InvalidParameterValue", f"The filter '{name}' is invalid")
        wanted[name] = wanted.get(name, []) + _list(asked, f"Filter.{number}.Value")
        number += 1
    # A description without the words on the VPC means the same product.
    products = wanted["product-description"]
    wanted["product-description"] = [one.removesuffix(_VPC) for one in products]
    return {name: values for name, values in wanted.items() if values}


def _list(asked: MultiDict[str, str], name: str) -> list[str]:
    single = [asked[name]] if name in asked else []
    return single + [value for key, value in asked.items() if key.removeprefix(f"{name}.").isdigit()]


def _prices(region: str, start: datetime, end: datetime) -> Iterator[_Price]:
    """List the changes between two times, and the one before, whose price holds at the start."""
    if region not in data()["regions"]:
        return
    for type_name, instance in data()["instances"].items():
        hourly = instance["hourly"].get(region)
        for product, system in _SYSTEMS.items() if hourly else ():
            on_top = {"Linux": 0, **instance["on_top"]}.get(system)
            for letter in "abc" if on_top is not None else "":
                yield from _changes(type_name, product, f"{region}{letter}", hourly, on_top, start, end)


def _changes(
    type_name: str, product: str, zone: str, hourly: float, on_top: Any, start: datetime, end: datetime
) -> Iterator[_Price]:
    of_day = _chance(type_name, product, zone)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    since = midnight + timedelta(seconds=int(of_day * _DAY.total_seconds()))
    if since > start:
        since -= _DAY
    while since <= end:
        share = _SHARE + _SPREAD * (2 * _chance(type_name, zone, f"{since.date()}") - 1)
        yield _Price(type_name, product, zone, f"{hourly * share + on_top:.6f}", since)
        since += _DAY


def _chance(*names: str) -> float:
    """Give a number from 0 to 1 that looks random and is always the same."""
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:6]) / 2**48


def _item(price: _Price) -> str:
    return (
        f"<item><instanceType>{price.instance_type}</instanceType>"
        f"<productDescription>{price.product}</productDescription><spotPrice>{price.price}</spotPrice>"
        f"<timestamp>{price.since:%Y-%m-%dT%H:%M:%S.000Z}</timestamp>"
        f"<availabilityZone>{price.zone}</availabilityZone></item>"
    )


def _moment(asked: MultiDict[str, str], name: str) -> datetime | None:
    if name not in asked:
        return None
    try:
        moment = datetime.fromisoformat(asked[name])
    except ValueError as error:
        raise _RefusalError(
            "InvalidParameterValue", f"Value ({asked[name]}) for {name} is invalid"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(asked: MultiDict[str, str], name: str, default: int) -> int:
    text = asked.get(name) or str(default)
    if not text.isdigit():
        raise _RefusalError("InvalidParameterValue", f"Value ({text}) for {name} is invalid")
    return int(text) or default

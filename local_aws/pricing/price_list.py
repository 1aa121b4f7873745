"""The AWS Price List API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import botocore.session
from botocore.model import ServiceModel
from werkzeug.wrappers import Request, Response

from local_aws.pricing.catalog import SERVICE, Product, products
from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.service import JSON, error_response
from local_aws.sagemaker.validation import check_members

_REGIONS = ("us-east-1", "eu-central-1", "ap-south-1")
_FORMAT = "aws_v1"
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "TERM_MATCH": lambda value, wanted: value == wanted,
    "EQUALS": lambda value, wanted: value == wanted,
    "CONTAINS": lambda value, wanted: wanted in value,
    "ANY_OF": lambda value, wanted: value in wanted.split(","),
    "NONE_OF": lambda value, wanted: value not in wanted.split(","),
}
Parameters = Mapping[str, Any]
Item = TypeVar("Item")


def answer(operation: str, request: Request, region: str) -> Response:
    """Answer one call of the API."""
    try:
        if region not in _REGIONS:
            raise AwsError(
                "UnknownEndpointException",
                f"The Price List has no endpoint in {region}: it answers in {', '.join(_REGIONS)}.",
                404,
            )
        return Response(json.dumps(_call(operation, request)), content_type=JSON)
    except AwsError as error:
        return error_response(error)


def _call(operation: str, request: Request) -> dict[str, Any]:
    if operation not in _OPERATIONS:
        raise AwsError("UnknownOperationException", f"The embedded AWS has no pricing:{operation}.")
    parameters = json.loads(request.get_data() or b"{}")
    shape = _model().operation_model(operation).input_shape
    try:
        check_members(parameters, shape)
    except AwsError as error:
        raise AwsError("InvalidParameterException", error.message) from error
    if parameters.get("FormatVersion", _FORMAT) != _FORMAT:
        raise AwsError("InvalidParameterException", f"FormatVersion must be {_FORMAT}.")
    if parameters.get("ServiceCode", SERVICE) != SERVICE:
        raise AwsError("NotFoundException", f"The service {parameters['ServiceCode']} was not found.")
    return _OPERATIONS[operation](parameters)


def _get_products(parameters: Parameters) -> dict[str, Any]:
    filters = [_reader(one) for one in parameters.get("Filters", [])]
    found = [product for product in products() if all(matches(product) for matches in filters)]
    page, more = _page(found, parameters, 100)
    return {"FormatVersion": _FORMAT, "PriceList": [json.dumps(one.document()) for one in page], **more}


def _describe_services(parameters: Parameters) -> dict[str, Any]:
    service = {"ServiceCode": SERVICE, "AttributeNames": sorted(_fields().values())}
    return {"FormatVersion": _FORMAT, "Services": [service]}


def _get_attribute_values(parameters: Parameters) -> dict[str, Any]:
    name = _field(parameters["AttributeName"])
    values = sorted({value for product in products() if (value := _value(product, name)) is not None})
    page, more = _page(values, parameters, 100)
    return {"AttributeValues": [{"Value": value} for value in page], **more}


def _reader(wanted: Parameters) -> Callable[[Product], bool]:
    name, compare = _field(wanted["Field"]), _COMPARISONS[wanted["Type"]]

    def matches(product: Product) -> bool:
        value = _value(product, name)
        return value is not None and compare(value, wanted["Value"])

    return matches


def _field(name: str) -> str:
    """Find an attribute, whose name may be written in any case."""
    if name.lower() not in _fields():
        raise AwsError("InvalidParameterException", f"{name} is no attribute of {SERVICE}.")
    return _fields()[name.lower()]


@cache
def _fields() -> dict[str, str]:
    names = {name for product in products() for name in product.attributes} | {"productFamily", "sku"}
    return {name.lower(): name for name in names}


def _value(product: Product, name: str) -> str | None:
    own = {"productFamily": product.family, "sku": product.sku}
    return own.get(name) or product.attributes.get(name)


def _page(items: Sequence[Item], parameters: Parameters, most: int) -> tuple[Sequence[Item], dict[str, str]]:
    token = parameters.get("NextToken", "0")
    if not token.isdigit() or int(token) > len(items):
        raise AwsError("InvalidNextTokenException", f"{token} is no token of this list.")
    start = int(token)
    end = start + parameters.get("MaxResults", most)
    return items[start:end], {"NextToken": str(end)} if end < len(items) else {}


@cache
def _model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("pricing")


_OPERATIONS = {
    "DescribeServices": _describe_services,
    "GetAttributeValues": _get_attribute_values,
    "GetProducts": _get_products,
}

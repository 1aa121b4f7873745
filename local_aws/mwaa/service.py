"""MWAA's API: it answers from the records of environments, and begins what changes them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from local_aws.clients import Clients
from local_aws.mwaa.airflow_processes import free_port
from local_aws.mwaa.environments import Environments, missing
from local_aws.mwaa.image import AIRFLOW_VERSION, variable_of
from local_aws.mwaa.rest_api import invoke
from local_aws.mwaa.routes import Route, service_model
from local_aws.sagemaker.calls import ACCOUNT
from local_aws.sagemaker.errors import AwsError, invalid
from local_aws.sagemaker.service import error_response
from local_aws.sagemaker.store import Record, Store
from local_aws.sagemaker.validation import check_members

_DEFAULTS = {
    "AirflowVersion": AIRFLOW_VERSION,
    "EnvironmentClass": "mw1.small",
    "MinWorkers": 1,
    "MaxWorkers": 10,
    "Schedulers": 2,
}
_AT_REST = ("AVAILABLE", "UPDATE_FAILED", "UNAVAILABLE")
_DELETABLE = (*_AT_REST, "CREATE_FAILED")
_PAGE = 25


class Mwaa:
    """All of MWAA.

    Args:
        clients: of the embedded AWS.
        directory: what environments keep on this machine, a folder each.
        on_change: told when a record has changed.
    """

    def __init__(self, clients: Clients, directory: Path, on_change: Callable[[], None]) -> None:
        self.store = Store(on_change)
        self._environments = Environments(self.store, clients, directory)
        self._operations: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
            "CreateEnvironment": self._create,
            "DeleteEnvironment": self._delete,
            "GetEnvironment": self._get,
            "InvokeRestApi": self._invoke,
            "ListEnvironments": self._list,
            "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdateEnvironment": self._update,
        }

    def resume(self) -> None:
        """Bring up again what there was when the server ended."""
        self._environments.resume()

    def close(self) -> None:
        """End every environment's processes; their records stay."""
        self._environments.close()

    def control(self, route: Route, request: Request, region: str) -> Response:
        """Answer an operation."""
        try:
            parameters = _parameters(route, request)
            shape = service_model().operation_model(route.operation).input_shape
            if shape:
                check_members(parameters, shape)
            if route.operation not in self._operations:
                raise AwsError("UnsupportedOperation", f"The embedded AWS has no {route.operation}.", 501)
            answer = self._operations[route.operation](region, parameters)
        except _RestApiError as error:
            headers = {"x-amzn-errortype": error.code}
            return Response(json.dumps(error.content), 400, headers, content_type="application/json")
        except AwsError as error:
            return error_response(error)
        return Response(json.dumps(answer), content_type="application/json")

    def _create(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        _check(asked)
        arn = _arn(region, asked["Name"])
        tags = asked.pop("Tags", {})
        record = {
            **_DEFAULTS,
            **asked,
            "Arn": arn,
            "CreatedAt": time.time(),
            "Status": "CREATING",
            "WebserverUrl": f"localhost:{free_port()}",
        }
        self.store.add(arn, record, lambda _: invalid(f"Environment {asked['Name']} already exists"))
        self.store.tag(arn, [{"Key": key, "Value": value} for key, value in tags.items()])
        self._environments.create(arn)
        return {"Arn": arn}

    def _update(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        _check(asked)
        strategy = asked.pop("WorkerReplacementStrategy", "FORCED")
        with self.store.locked():
            before = self._find(region, asked.pop("Name"))
            _refuse_unless(before, _AT_REST, "updated")
            update = {
                "Status": "PENDING",
                "CreatedAt": time.time(),
                "WorkerReplacementStrategy": strategy,
            }
            arn = before["Arn"]
            self.store.change(arn, **_merged(before, asked), Status="UPDATING", LastUpdate=update)
        self._environments.update(arn, before)
        return {"Arn": arn}

    def _delete(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        with self.store.locked():
            record = self._find(region, asked["Name"])
            _refuse_unless(record, _DELETABLE, "deleted")
            self.store.change(record["Arn"], Status="DELETING")
        self._environments.delete(record["Arn"])
        return {}

    def _get(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        record = self._find(region, asked["Name"])
        members = service_model().shape_for("Environment").members
        told = {name: record[name] for name in members if record.get(name) is not None}
        return {"Environment": {**told, "Tags": self.store.tags(record["Arn"])}}

    def _list(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        names = sorted(record["Name"] for record in self.store.under(_arn(region, "")))
        after = [name for name in names if name > asked.get("NextToken", "")]
        page = after[: asked.get("MaxResults", _PAGE)]
        return {"Environments": page, **({"NextToken": page[-1]} if page != after else {})}

    def _tag(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        arn = self._known(asked["ResourceArn"])
        self.store.tag(arn, [{"Key": key, "Value": value} for key, value in asked["Tags"].items()])
        return {}

    def _untag(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.store.untag(self._known(asked["ResourceArn"]), asked["tagKeys"])
        return {}

    def _list_tags(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self.store.tags(self._known(asked["ResourceArn"]))}

    def _invoke(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        record = self._find(region, asked["Name"])
        if record["Status"] not in _AT_REST:
            raise AwsError("ResourceNotFoundException", f"Environment {record['Name']} is not available", 404)
        answer = invoke(f"http://{record['WebserverUrl']}", asked)
        if answer.error_code:
            raise _RestApiError(answer.error_code, answer.as_record())
        return answer.as_record()

    def _find(self, region: str, name: str) -> Record:
        return self.store.get(_arn(region, name), missing(name))

    def _known(self, arn: str) -> str:
        self.store.get(arn, missing(arn))
        return arn


class _RestApiError(Exception):
    """Airflow's own refusal, with what it said."""

    def __init__(self, code: str, content: dict[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.content = content


def _parameters(route: Route, request: Request) -> dict[str, Any]:
    """Gather what path, query and body say."""
    try:
        body = json.loads(request.get_data() or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", f"The request is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise AwsError("SerializationException", "The request is not a JSON object")
    query: dict[str, Any] = request.args.to_dict()
    if "tagKeys" in query:
        query["tagKeys"] = request.args.getlist("tagKeys")
    if query.get("MaxResults", "").isdigit():
        query["MaxResults"] = int(query["MaxResults"])
    return {**body, **query, **route.parameters}


def _check(asked: dict[str, Any]) -> None:
    """Refuse what no container could start with."""
    version = asked.get("AirflowVersion", AIRFLOW_VERSION)
    if version != AIRFLOW_VERSION:
        raise invalid(f"The embedded AWS runs Airflow {AIRFLOW_VERSION} and no {version}")
    for option in asked.get("AirflowConfigurationOptions", {}):
        try:
            variable_of(option)
        except ValueError as error:
            raise invalid(str(error)) from error


def _merged(before: Record, asked: dict[str, Any]) -> dict[str, Any]:
    """Return an update's fields: another path without a version means its newest version."""
    merged = dict(asked)
    for part in ("Plugins", "Requirements", "StartupScript"):
        path, version = f"{part}S3Path", f"{part}S3ObjectVersion"
        if path in asked and asked[path] != before.get(path) and version not in asked:
            merged[version] = None
    network = asked.get("NetworkConfiguration")
    if network:
        merged["NetworkConfiguration"] = {**before["NetworkConfiguration"], **network}
    return merged


def _refuse_unless(record: Record, statuses: tuple[str, ...], what: str) -> None:
    if record["Status"] not in statuses:
        raise invalid(f"Environment {record['Name']} is {record['Status']} and cannot be {what} now")


def _arn(region: str, name: str) -> str:
    return f"arn:aws:airflow:{region}:{ACCOUNT}:environment/{name}"

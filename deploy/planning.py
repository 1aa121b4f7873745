"""What a deployment would do, found out without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from botocore.exceptions import WaiterError

from deploy.code import Code
from deploy.code_bucket import START_FILES, CodeBucket, FileChanges, compare
from deploy.environment import Environment
from deploy.errors import DeployError
from deploy.stacks import HOLLOW, find_stack, outputs_of, settled_stack, stack_request
from deploy.templates import ORDER, Template, read_template, stack_name
from vigil.aws import Aws

AIRFLOW = "airflow"
DATABASE = "database"
NETWORK = "network"
STORAGE = "storage"
VERSION_PARAMETERS = {
    "plugins.zip": "PluginsS3ObjectVersion",
    "requirements.txt": "RequirementsS3ObjectVersion",
    "startup.sh": "StartupScriptS3ObjectVersion",
}
_PREVIEW = "vigil-preview"
# Nobody looks at a preview for so long: it was killed.
_LEFT_BEHIND = timedelta(hours=1)
_AWAITED = "awaited of a stack before; what changes is known then"
_NOTHING = ("didn't contain changes", "No updates are to be performed")
_LOOKS = {"Delay": 2, "MaxAttempts": 300}


@dataclass(frozen=True)
class ResourceChange:
    """One resource that is added, modified or removed; with `replaced`, another one comes in its place."""

    action: str
    name: str
    type: str
    replaced: bool = False


@dataclass(frozen=True)
class StackChange:
    """A stack that is created or updated.

    Attributes:
        stack: its name.
        created: there is none of that name yet.
        resources: what happens to each; empty when nothing does.
    """

    stack: str
    created: bool
    resources: tuple[ResourceChange, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that a deployment would do."""

    stacks: tuple[StackChange, ...]
    files: FileChanges

    @property
    def replaces_processes(self) -> bool:
        """Tell whether what Airflow's processes start with changes."""
        return any(key in START_FILES for key in self.files.written)

    @property
    def changes_nothing(self) -> bool:
        """Tell whether all is as it should be."""
        return not self.files and not any(stack.resources for stack in self.stacks)


def templates_of(environment: Environment) -> list[Template]:
    """Return the templates of an environment's stacks, in the order of their creation."""
    return [read_template(name) for name in ORDER if name not in environment.leave_out]


def known_values(aws: Aws, environment: Environment) -> dict[str, str]:
    """Return what templates can be given: by the environment, and as outputs of the stacks there are."""
    values = environment.given_values
    for template in templates_of(environment):
        values |= outputs_of(aws.client("cloudformation"), stack_name(environment.name, template.name))
    return values


def zones_in_use(aws: Aws, environment: Environment) -> dict[str, str]:
    """Return the zones that the network lies in, as its parameter; nothing before there is one.

    A region's first two zones, the default, may become others, and a subnet cannot move. What the
    environment's file says goes before.
    """
    if NETWORK in environment.leave_out or "AvailabilityZones" in environment.parameters:
        return {}
    network = outputs_of(aws.client("cloudformation"), stack_name(environment.name, NETWORK))
    if not network:
        return {}
    ids = network["PrivateSubnetIds"].split(",")
    subnets = aws.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in subnets}
    return {"AvailabilityZones": ",".join(zones[one] for one in ids)}


def draw_plan(aws: Aws, environment: Environment, code: Code) -> Plan:
    """Find out what a deployment would do.

    A stack that a stack before it will feed anew is previewed with what that one tells today; where it tells
    nothing yet, the stack is only said to wait for it. The versions of the start files are known only once
    they are uploaded: where these files change, the environment is updated.

    Raises:
        DeployError: it could not be done; the message says why, and the way out.
    """
    _refuse_unknown_server(aws, environment)
    values = known_values(aws, environment) | zones_in_use(aws, environment)
    stacks = []
    promised: set[str] = set()
    for template in templates_of(environment):
        stacks.append(_preview(aws, environment, template, values, promised))
        promised |= template.content.get("Outputs", {}).keys()
    return Plan(tuple(stacks), _file_changes(aws, values, code))


def _refuse_unknown_server(aws: Aws, environment: Environment) -> None:
    """Refuse a database's server that the region does not have, before anything is made that is billed."""
    # The embedded AWS takes any: it starts none.
    if environment.endpoint or DATABASE in environment.leave_out or exists(aws, environment, DATABASE):
        return
    template = read_template(DATABASE).content
    default = template["Parameters"]["EngineVersion"]["Default"]
    wanted = environment.parameters.get("EngineVersion", default)
    resources = template["Resources"]
    pages = (
        aws.client("rds")
        .get_paginator("describe_db_engine_versions")
        .paginate(
            Engine=resources["Cluster"]["Properties"]["Engine"],
            DBParameterGroupFamily=resources["ParameterGroup"]["Properties"]["Family"],
        )
    )
    there = [version["EngineVersion"] for page in pages for version in page["DBEngineVersions"]]
    if wanted not in there:
        raise DeployError(
            f"The region {environment.region} has no Aurora MySQL {wanted}: say one of {', '.join(there)} as "
            "EngineVersion under parameters."
        )


def _file_changes(aws: Aws, values: Mapping[str, str], code: Code) -> FileChanges:
    if "CodeBucketName" not in values:
        return compare({}, code.wanted)
    return CodeBucket(aws.client("s3"), values["CodeBucketName"]).changes_to(code.wanted)


def _preview(
    aws: Aws, environment: Environment, template: Template, values: Mapping[str, str], promised: Set[str]
) -> StackChange:
    cloudformation = aws.client("cloudformation")
    name = stack_name(environment.name, template.name)
    stack = settled_stack(cloudformation, name)
    if stack is None or stack["StackStatus"] == HOLLOW:
        return StackChange(name, True, tuple(_additions(template)))
    known = {"Environment": environment.name} | _versions(stack) | values
    awaited = [name for name in template.missing(known) if name in promised]
    if awaited:
        return StackChange(name, False, tuple(ResourceChange("Modify", one, _AWAITED) for one in awaited))
    request = stack_request(environment.name, template, known, environment.tags)
    return StackChange(name, False, tuple(_changes(cloudformation, request)))


def _versions(stack: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of the start files that a stack was given."""
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
    return {name: given[name] for name in VERSION_PARAMETERS.values() if name in given}


def _additions(template: Template) -> Iterator[ResourceChange]:
    for name, resource in template.content["Resources"].items():
        yield ResourceChange("Add", name, resource["Type"])


def _changes(cloudformation: Any, request: Mapping[str, Any]) -> Iterator[ResourceChange]:
    """Ask CloudFormation what an update would do, by a change set of our own that nobody executes."""
    which = {"StackName": request["StackName"], "ChangeSetName": f"{_PREVIEW}-{uuid4().hex}"}
    _delete_left_behind(cloudformation, request["StackName"])
    try:
        cloudformation.create_change_set(**request | which, ChangeSetType="UPDATE")
        yield from _described(cloudformation, which)
    finally:
        cloudformation.delete_change_set(**which)


def _delete_left_behind(cloudformation: Any, stack: str) -> None:
    """Delete the change sets of previews that were killed; a stack can have only so many."""
    before = datetime.now(UTC) - _LEFT_BEHIND
    pages = cloudformation.get_paginator("list_change_sets").paginate(StackName=stack)
    for found in [one for page in pages for one in page["Summaries"]]:
        if found["ChangeSetName"].startswith(_PREVIEW) and found["CreationTime"] < before:
            cloudformation.delete_change_set(StackName=stack, ChangeSetName=found["ChangeSetName"])


def _described(cloudformation: Any, which: Mapping[str, str]) -> Iterator[ResourceChange]:
    status, reason = _settled_change_set(cloudformation, which)
    if status == "FAILED":
        if any(text in reason for text in _NOTHING):
            return
        raise DeployError(f"CloudFormation refuses what is to become of {which['StackName']}: {reason}")
    for page in cloudformation.get_paginator("describe_change_set").paginate(**which):
        for change in (one["ResourceChange"] for one in page["Changes"]):
            replaced = change.get("Replacement", "False") != "False"
            yield ResourceChange(
                change["Action"], change["LogicalResourceId"], change["ResourceType"], replaced
            )


def _settled_change_set(cloudformation: Any, which: Mapping[str, str]) -> tuple[str, str]:
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(**which, WaiterConfig=_LOOKS)
    except WaiterError as error:
        answer = error.last_response
        return str(answer.get("Status", "FAILED")), str(answer.get("StatusReason", error))
    return "CREATE_COMPLETE", ""


def exists(aws: Aws, environment: Environment, template: str) -> bool:
    """Tell whether an environment has the stack of a template, with something in it."""
    stack = find_stack(aws.client("cloudformation"), stack_name(environment.name, template))
    return stack is not None and stack["StackStatus"] != HOLLOW

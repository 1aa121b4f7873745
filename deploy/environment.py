"""What is deployed where: one file an environment, `deploy/environments/<name>.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import boto3
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from deploy.errors import DeployError
from vigil.settings import explain
from vigil.training.images import amazon_accounts

FOLDER = Path(__file__).parent / "environments"
_NAME = re.compile(r"[a-z][a-z0-9-]{1,15}")


def _as_cloudformation_writes_it(value: object) -> object:
    """Write numbers, truth values and lists of YAML as CloudFormation takes them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, int | float) else value


# As IAM takes it; others take more.
TagText = Annotated[str, Field(pattern=r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$")]
ParameterValue = Annotated[str, BeforeValidator(_as_cloudformation_writes_it)]


class Environment(BaseModel):
    """Holds what differs by environment.

    Attributes:
        name: part of every name in the account; the file's own name.
        account: nothing is deployed with the credentials of another one.
        region: where everything lies.
        endpoint: where the embedded AWS answers; never for an account of AWS.
        leave_out: stacks that are not created because there is something else in their place, whose
            identifiers stand under `parameters`.
        parameters: of the templates, by name; a name that several have is given to each.
        database_connection_from: with the database left out, the variable of the deploying machine's
            environment that holds the connection, `mysql://user:password@host:port/schema`. Without it,
            the secret must be there already.
        certificates: file with the authorities that the database's certificate is checked by; by default
            that of Amazon RDS, fetched at every deployment.
        wheels: pack what requirements.txt names with the plugins, for processes without a way to PyPI; by
            default where the network reaches AWS by endpoints only, or Airflow's page is private.
        tags: put onto every stack and what lies in it, the Amazon MWAA environment, and the secret of a
            database that you have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{_NAME.pattern}$")
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    endpoint: str | None = Field(default=None, pattern=r"^https?://(127\.0\.0\.1|localhost)(:\d+)?$")
    leave_out: frozenset[str] = frozenset()
    parameters: dict[str, ParameterValue] = {}
    database_connection_from: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    certificates: Path | None = None
    wheels: bool | None = None
    tags: dict[TagText, TagText] = {}

    @model_validator(mode="after")
    def _only_one_says_what_the_database_is(self) -> Environment:
        if self.database_connection_from and "database" not in self.leave_out:
            raise ValueError(
                "database_connection_from is for a database that you have: put database into leave_out, or "
                "remove database_connection_from"
            )
        return self

    @property
    def needs_wheels(self) -> bool:
        """Tell whether a part of Airflow cannot fetch its requirements from PyPI."""
        by_endpoints = "network" not in self.leave_out and self.parameters.get("Egress") != "nat"
        # A private web server of Amazon MWAA has no way out, whatever its network has.
        is_private = self.parameters.get("WebserverAccessMode", "PRIVATE_ONLY") == "PRIVATE_ONLY"
        return by_endpoints or is_private if self.wheels is None else self.wheels

    @property
    def given_values(self) -> dict[str, str]:
        """Return what templates are given before there is any stack: the parameters, and what we know."""
        return {"ImageRepositoryArns": ",".join(amazon_repositories(self.region)), **self.parameters}

    @property
    def secret_name(self) -> str:
        """Return the name of the secret that holds the database connection."""
        return f"vigil/{self.name}/connections/vigil_database"


@cache
def amazon_repositories(region: str) -> tuple[str, ...]:
    """Return the repositories that hold Amazon's own images in a region, as a policy names them."""
    partition_of = boto3.session.Session().get_partition_for_region
    return tuple(
        f"arn:{partition_of(region)}:ecr:{region}:{account}:repository/*"
        for account in amazon_accounts(region)
    )


def load_environment(name: str, folder: Path = FOLDER) -> Environment:
    """Read an environment's file.

    Raises:
        DeployError: there is no such file, or it cannot be used; the message names every mistake.
    """
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    file = folder / f"{name}.yaml"
    if not _NAME.fullmatch(name) or not file.is_file():
        raise DeployError(
            f"There is no environment {name!r}: write {folder.name}/{name or 'name'}.yaml after "
            f"{folder.name}/example.yaml, or say ENV= one of {', '.join(known)}."
        )
    _refuse_names_that_begin_alike(name, known)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise DeployError(f"{file.name} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise DeployError(f"{file.name} holds no keys: write it after {folder.name}/example.yaml.")
    try:
        return Environment.model_validate({"name": name, **content})
    except ValidationError as error:
        raise DeployError(explain(error, f"the environment {file.name}", Environment)) from error


def _refuse_names_that_begin_alike(name: str, others: Iterable[str]) -> None:
    """Refuse names of which one goes on after the other: policies and log groups go by how names begin."""
    for other in others:
        if other.startswith(f"{name}-") or name.startswith(f"{other}-"):
            raise DeployError(
                f"The environments {name} and {other} begin alike, and what is allowed for the one would be "
                "for the other: call one of them differently, as in eu-prod for prod-eu."
            )


def check_parameters(environment: Environment, declared: Iterable[str], templates: Iterable[str]) -> None:
    """Refuse what no template knows.

    Args:
        environment: to check.
        declared: names of the parameters of all templates that will be used.
        templates: names of all templates.

    Raises:
        DeployError: a parameter or a template that is left out does not exist.
    """
    unknown = sorted(environment.parameters.keys() - set(declared))
    if unknown:
        raise DeployError(
            f"The environment {environment.name} gives {', '.join(unknown)}, which no template takes: "
            f"correct the name, or remove it. There are {', '.join(sorted(set(declared)))}."
        )
    strange = sorted(environment.leave_out - set(templates))
    if strange:
        raise DeployError(
            f"The environment {environment.name} leaves out {', '.join(strange)}, which is no template: "
            f"there are {', '.join(templates)}."
        )


def check_account(environment: Environment, identity: Mapping[str, str]) -> None:
    """Refuse credentials of another account than the environment's.

    Args:
        environment: to deploy.
        identity: as `sts:GetCallerIdentity` answers.
    """
    if identity["Account"] != environment.account:
        raise DeployError(
            f"The environment {environment.name} belongs to account {environment.account}, and your "
            f"credentials ({identity['Arn']}) to {identity['Account']}: choose another AWS_PROFILE, or "
            "correct the file."
        )


def check_address(environment: Environment, variables: Mapping[str, str]) -> None:
    """Refuse a shell whose calls would go elsewhere than to AWS, unless the environment says where to.

    Args:
        environment: to deploy.
        variables: of the shell.
    """
    leading = sorted(name for name in variables if name.startswith("AWS_ENDPOINT_URL") and variables[name])
    if leading and not environment.endpoint:
        raise DeployError(
            f"Your shell sets {', '.join(leading)}, as for the embedded AWS, and the environment "
            f"{environment.name} lies in AWS: open another shell with your own credentials, or say `unset "
            f"{' '.join(leading)}`."
        )

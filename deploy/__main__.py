"""The commands behind `make package`, `make deploy` and what follows them."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from deploy.certificates import certificates_of
from deploy.code import Code, EarlierCode, PackagedCode
from deploy.code_bucket import ENVIRONMENT_TEMPLATE, CodeBucket
from deploy.deploying import Deployer
from deploy.doctor import examine_environment, report
from deploy.environment import (
    Environment,
    check_account,
    check_address,
    check_parameters,
    load_environment,
)
from deploy.errors import DeployError
from deploy.packaging import Package, PackagingError, build_package
from deploy.planning import AIRFLOW, Plan, draw_plan, known_values, templates_of
from deploy.showing import show_plan
from deploy.stacks import find_stack
from deploy.teardown import Teardown
from deploy.templates import ORDER, read_template, stack_name
from deploy.wheels import fetch_wheels
from vigil.aws import Aws
from vigil.errors import VigilError

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "build" / "mwaa"
DOCTOR = PROJECT / "var" / "doctor.json"
WHEELS = PROJECT / "var" / "wheels"
_GIVEN_BY_US = {"Environment"}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)

Name = Annotated[str, typer.Argument(help="Of the environment: deploy/environments/<name>.yaml.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
TakeOver = Annotated[
    bool, typer.Option(help="Go on although somebody is said to be deploying, who was killed.")
]
Migrated = Annotated[bool, typer.Option(help="migrate_database has been run by hand: do not run it.")]


@app.command()
def package(
    target: Annotated[Path, typer.Option(help="Where to build it.")] = PACKAGE,
    wheels: Annotated[
        bool, typer.Option(help="With the wheels of requirements.txt, for a network without a way to PyPI.")
    ] = False,
) -> None:
    """Build what Amazon MWAA runs, and show what it is."""
    _show(build_package(PROJECT, target, fetch_wheels(PROJECT, WHEELS) if wheels else ()))


@app.command()
def deploy(
    environment: Name,
    yes: Yes = False,
    show_only: Annotated[bool, typer.Option(help="Show the difference, and do nothing.")] = False,
    take_over: TakeOver = False,
    migrated: Migrated = False,
) -> None:
    """Show what differs, ask, and bring an environment to this checkout's state."""
    target = _load(environment)
    aws = _open_aws(target)
    built = build_package(PROJECT, PACKAGE, fetch_wheels(PROJECT, WHEELS) if target.needs_wheels else ())
    _show(built)
    template = {ENVIRONMENT_TEMPLATE: read_template(AIRFLOW).body.encode()}
    code = PackagedCode(built, certificates_of(target) | template)
    plan = draw_plan(aws, target, code)
    show_plan(console, plan)
    if show_only:
        return
    _ask(plan, yes, f"Deploy to {target.name} ({target.account}, {target.region})?")
    deployment = Deployer(target, aws, _tell, take_over, migrated, _poll_s(target)).deploy(code)
    console.print(f"Deployed: {deployment.name}")


@app.command()
def rollback(
    environment: Name,
    to: Annotated[str, typer.Option(help="Name of a deployment; by default the one before.")] = "",
    yes: Yes = False,
    take_over: TakeOver = False,
    migrated: Migrated = False,
) -> None:
    """Bring back the code of an earlier deployment, with Airflow's options; tables and other stacks stay."""
    target = _load(environment)
    aws = _open_aws(target)
    bucket = _code_bucket(aws, target)
    code: Code = EarlierCode(bucket.deployment(to or bucket.one_before()))
    plan = Plan((), bucket.changes_to(code.wanted))
    show_plan(console, plan)
    _ask(plan, yes, f"Bring this back to {target.name}?")
    deployer = Deployer(target, aws, _tell, take_over, migrated, _poll_s(target))
    deployment = deployer.put_in_place(code)
    console.print(f"Deployed: {deployment.name}")


@app.command()
def status(environment: Name) -> None:
    """Show an environment's stacks, and what was deployed when."""
    target = _load(environment)
    aws = _open_aws(target)
    table = Table("stack", "status")
    for template in templates_of(target):
        name = stack_name(target.name, template.name)
        stack = find_stack(aws.client("cloudformation"), name)
        table.add_row(name, stack["StackStatus"].lower() if stack else "not there")
    console.print(table)
    values = known_values(aws, target)
    if "CodeBucketName" in values:
        for name in _code_bucket(aws, target).history()[-10:]:
            console.print(f"deployed {name}")
    if "WebserverUrl" in values:
        url = values["WebserverUrl"].replace("https:", "http:" if target.endpoint else "https:")
        console.print(f"Airflow: {url}", soft_wrap=True)


@app.command()
def doctor(environment: Name) -> None:
    """Tell what an environment lacks, each thing with its fix; exits with 1 if there is one."""
    target = _load(environment)
    findings = examine_environment(_open_aws(target), target)
    if not report(findings, DOCTOR, partial(console.print, markup=False, soft_wrap=True)):
        raise typer.Exit(1)


@app.command()
def destroy(
    environment: Name,
    confirm: Annotated[
        str, typer.Option(help="The environment's name once more; else it is asked for.")
    ] = "",
    keep_data: Annotated[
        bool, typer.Option(help="Leave buckets, their key, the registry and a snapshot of the database.")
    ] = False,
    take_over: TakeOver = False,
) -> None:
    """Remove an environment, so that nothing of it is billed."""
    target = _load(environment)
    aws = _open_aws(target)
    kept = "buckets, key, registry and a snapshot of the database stay" if keep_data else "all data is lost"
    console.print(f"This removes {target.name} ({target.account}, {target.region}): {kept}.")
    if (confirm or _asked_for("Its name, to go on")) != target.name:
        raise DeployError("Nothing was removed: the name was another one.")
    left = Teardown(target, aws, _tell, keep_data, take_over, _poll_s(target)).tear_down()
    for arn in left:
        console.print(f"left: {arn}", soft_wrap=True)
    console.print("Nothing else is left." if left else "Nothing is left.")


def _load(name: str) -> Environment:
    """Read an environment, and check it against the templates."""
    target = load_environment(name)
    declared = {
        parameter
        for template in map(read_template, ORDER)
        for parameter in template.content.get("Parameters", {})
    }
    check_parameters(target, declared - _GIVEN_BY_US, ORDER)
    return target


def _open_aws(target: Environment) -> Aws:
    """Open clients; refuse another account's credentials, and the way to another AWS."""
    check_address(target, os.environ)
    session = boto3.session.Session(region_name=target.region)
    aws = Aws(session, endpoint_url=target.endpoint)
    check_account(target, aws.client("sts").get_caller_identity())
    return aws


def _code_bucket(aws: Aws, target: Environment) -> CodeBucket:
    values = known_values(aws, target)
    if "CodeBucketName" not in values:
        raise DeployError(f"Nothing was ever deployed to {target.name}: `make deploy ENV={target.name}`.")
    return CodeBucket(aws.client("s3"), values["CodeBucketName"])


def _ask(plan: Plan, yes: bool, question: str) -> None:
    if plan.changes_nothing:
        console.print("Nothing differs.")
    if yes or plan.changes_nothing:
        return
    if _asked_for(f"{question} [y/N]").lower() not in ("y", "yes"):
        raise DeployError("Nothing was done.")


def _asked_for(question: str) -> str:
    if not sys.stdin.isatty():
        raise DeployError("Nobody is there to answer: say YES=1, or CONFIRM=<name> to destroy.")
    return str(typer.prompt(question, default="", show_default=False))


def _poll_s(target: Environment) -> float:
    return 0.5 if target.endpoint else 5.0


def _tell(line: str) -> None:
    console.print(f"  {line}", soft_wrap=True)


def _show(built: Package) -> None:
    for name in ("plugins.zip", "requirements.txt", "startup.sh"):
        console.print(f"  {name:<17}{(built.folder / name).stat().st_size / 1000:8.1f} kB")
    dags = [built.folder / name for name in built.files if name.startswith("dags/")]
    size = sum(file.stat().st_size for file in dags)
    console.print(f"  {'dags/':<17}{size / 1000:8.1f} kB in {len(dags)} files")
    console.print(f"{built.folder} sha256:{built.digest}", soft_wrap=True)


def main() -> None:
    """Run a command; an error that a person can mend is told in its own words, without a traceback."""
    try:
        app()
    except (DeployError, PackagingError, VigilError) as error:
        console.print(f"vigil: {error}", markup=False)
        raise SystemExit(1) from error
    except (BotoCoreError, ClientError) as error:
        console.print(f"vigil: AWS refused: {error}", markup=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()

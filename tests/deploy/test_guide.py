"""The guide, held against what is deployed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from deploy.templates import ORDER, read_template
from tests.deploy.policies import resources

PROJECT = Path(__file__).resolve().parents[2]
# Where the permissions of a service are called otherwise than CloudFormation calls the service.
PREFIXES = {"mwaa": "airflow"}


@pytest.fixture(scope="module")
def guide() -> str:
    return (PROJECT / "docs" / "deploy.md").read_text(encoding="utf-8")


def section(guide: str, heading: str) -> str:
    return guide.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_it_names_the_permissions_for_every_service_that_a_stack_consists_of(guide):
    services = {
        declared["Type"].split("::")[1].lower() for where, _, declared in resources() if where in ORDER
    }
    prefixes = set(re.findall(r"`(\w+):", section(guide, "Permissions")))
    assert {PREFIXES.get(service, service) for service in services} <= prefixes


def test_it_counts_what_is_billed_by_the_hour_or_month(guide):
    billed = section(guide, "What is billed")
    made = [declared for where, _, declared in resources() if where in ORDER]
    endpoints = [one for one in made if one.get("Properties", {}).get("VpcEndpointType") == "Interface"]
    assert f"{len(endpoints)} endpoints in two zones" in billed
    assert f"{2 * len(endpoints) * 730:,} hours" in billed
    assert f"per VPC` | 1; {len(endpoints)}, and 2 of Amazon MWAA's own |" in section(guide, "Quotas")
    assert f"{sum(one['Type'] == 'AWS::CloudWatch::Alarm' for one in made)} alarms" in billed


def test_it_names_the_quota_of_every_instance_that_a_model_spec_asks_for(guide):
    uses = {
        "training": "training job",
        "transform": "transform job",
        "evaluation": "processing job",
        "endpoint": "endpoint",
    }
    for file in (PROJECT / "include" / "configs" / "models").glob("*.yaml"):
        spec = yaml.safe_load(file.read_text(encoding="utf-8"))
        for part, use in uses.items():
            kind = spec.get(part, {}).get("instance_type")
            assert kind is None or f"`{kind} for {use} usage`" in section(guide, "Quotas"), (file.name, part)


def test_it_counts_the_concurrency_that_the_serverless_model_specs_ask_for(guide):
    specs = [
        yaml.safe_load(file.read_text(encoding="utf-8"))
        for file in (PROJECT / "include" / "configs" / "models").glob("*.yaml")
    ]
    asked = [
        one["endpoint"]["serverless"]["max_concurrency"] for one in specs if "serverless" in one["endpoint"]
    ]
    (row,) = [line for line in section(guide, "Quotas").splitlines() if "serverless endpoints" in line]
    assert len(asked) == 2
    assert f"| {sum(asked)} for the two; {sum(asked) + max(asked)}," in row


def test_it_names_parameters_that_there_are(guide):
    declared = {
        name: one
        for template in map(read_template, ORDER)
        for name, one in template.content["Parameters"].items()
    }
    rows = [
        line.split("|") for line in section(guide, "2. Describe the environment").splitlines() if "|" in line
    ]
    named = {name for row in rows for name in re.findall(r"`([A-Z][A-Za-z]+)`", row[2])}
    assert len(named) >= 10
    assert named <= declared.keys()


def test_it_switches_on_dags_that_there_are(guide):
    (loop,) = re.findall(r"for dag in (.*?); do", guide, re.DOTALL)
    dags = {file.stem for file in (PROJECT / "dags").glob("*.py")}
    by_themselves = {"check_setup", "migrate_database"}
    named = set(loop.replace("\\", " ").split())
    assert named == dags - by_themselves - {"retrain_on_new_data", "retrain_on_image_push"}

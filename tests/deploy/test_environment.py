from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.__main__ import app
from deploy.environment import check_account, check_address, check_parameters, load_environment
from deploy.errors import DeployError

GOOD = """
account: "111122223333"
region: eu-west-1
leave_out: [network]
parameters:
  PrivateSubnetIds: [subnet-1, subnet-2]
  MaxWorkers: 3
  DeletionProtection: true
"""


def load(folder: Path, text: str):
    (folder / "prod.yaml").write_text(text)
    return load_environment("prod", folder)


def test_values_become_what_cloudformation_takes(tmp_path):
    environment = load(tmp_path, GOOD)
    assert environment.name == "prod"
    assert environment.parameters == {
        "PrivateSubnetIds": "subnet-1,subnet-2",
        "MaxWorkers": "3",
        "DeletionProtection": "true",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("region", "regoin"), "did you mean region?"),
        (GOOD.replace('"111122223333"', "12"), "account"),
        ("- a list", "holds no keys"),
        ("a: [", "no YAML"),
        (GOOD + "database_connection_from: DATABASE\n", "put database into leave_out"),
        (GOOD + "endpoint: https://aws.example\n", "endpoint"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_way_out(tmp_path, text, said):
    with pytest.raises(DeployError, match=said.replace("?", r"\?")):
        load(tmp_path, text)


@pytest.mark.parametrize("name", ["none", "", "../prod", "prod/../prod"])
def test_a_name_without_a_file_is_answered_by_those_that_there_are(tmp_path, name):
    load(tmp_path, GOOD)
    with pytest.raises(DeployError, match="one of prod"):
        load_environment(name, tmp_path)


def test_of_two_names_none_may_go_on_after_the_other(tmp_path):
    (tmp_path / "prod-eu.yaml").write_text(GOOD)
    with pytest.raises(DeployError, match="prod and prod-eu begin alike"):
        load(tmp_path, GOOD)
    with pytest.raises(DeployError, match="prod-eu and prod begin alike"):
        load_environment("prod-eu", tmp_path)


def test_what_no_template_takes_is_refused(tmp_path):
    environment = load(tmp_path, GOOD)
    declared = ["PrivateSubnetIds", "MaxWorkers", "DeletionProtection"]
    check_parameters(environment, declared, ["network", "storage"])
    with pytest.raises(DeployError, match="gives MaxWorkers, which no template takes"):
        check_parameters(environment, ["PrivateSubnetIds", "DeletionProtection"], ["network"])
    with pytest.raises(DeployError, match="leaves out network, which is no template"):
        check_parameters(environment, declared, ["storage"])


def test_credentials_of_another_account_deploy_nothing(tmp_path):
    environment = load(tmp_path, GOOD)
    check_account(environment, {"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/me"})
    with pytest.raises(DeployError, match="belongs to account 111122223333"):
        check_account(environment, {"Account": "999922223333", "Arn": "arn:aws:iam::999922223333:user/me"})


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_a_shell_that_leads_to_the_embedded_aws_deploys_nothing_to_aws(tmp_path, variable):
    environment = load(tmp_path, GOOD)
    shell = {variable: "http://127.0.0.1:14566", "AWS_PROFILE": "me"}
    with pytest.raises(DeployError, match=f"sets {variable}, .*`unset {variable}`"):
        check_address(environment, shell)
    check_address(environment, {"AWS_PROFILE": "me"})
    check_address(load(tmp_path, GOOD + "endpoint: http://127.0.0.1:14566\n"), shell)


def test_a_command_looks_where_it_would_go_before_it_asks_anybody(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    done = CliRunner().invoke(app, ["status", "example"])
    assert "AWS_ENDPOINT_URL" in str(done.exception)

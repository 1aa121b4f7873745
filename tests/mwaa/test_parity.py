"""The package in a copy of MWAA's image: its packages, its folders, its environment, its processes."""

from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from deploy import templates
from local_aws.mwaa.image import HOME, exports_of, is_protected, variable_of
from tests.conftest import aws_environment
from tests.dags.test_dags import INVENTORY
from tests.mwaa.containers import Stage, names_in, stage
from tests.mwaa.image_packages import (
    DATA,
    ESSENTIAL,
    PROJECT,
    ImagePackages,
    image_packages,
    normalised,
    pins,
    preinstalled,
)
from tests.mwaa.test_requirements import named, third_party_imports
from vigil.aws import Aws
from vigil.database import Database

# The first run installs the image's packages.
pytestmark = [pytest.mark.mwaa, pytest.mark.timeout(600)]

REGION = "eu-west-1"
ENTRY_PLUGINS = [file.stem for file in (PROJECT / "plugins").glob("*.py")]
SMALL_PIPELINE = """
sources:
  - kind: simulator
    name: shop
    history_days: 0.2
    series: [{name: orders, base_rate: 5, peak_hour: 15}]
"""


def airflow_options() -> dict[str, str]:
    """Return the environment's options as its template has them."""
    return templates.airflow_options(json.loads((DATA / "parameters.json").read_text()))


@pytest.fixture(scope="module")
def packages() -> ImagePackages:
    return image_packages(PROJECT / "requirements.txt")


@pytest.fixture(scope="module")
def staged(packages: ImagePackages, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return stage(PROJECT, tmp_path_factory.mktemp("stage"), packages, airflow_options())


@pytest.fixture(scope="module")
def scheduler(staged: Stage) -> dict[str, Any]:
    return staged.run("scheduler")


@pytest.fixture(scope="module")
def webserver(staged: Stage) -> dict[str, Any]:
    return staged.run("webserver")


@pytest.fixture
def worker(staged: Stage, aws: Aws, local_aws: str, database: Database, tmp_path: Path) -> dict[str, Any]:
    """A worker that takes its connection from Secrets Manager, as it would in the cloud."""
    options = airflow_options()
    prefix = json.loads(options["secrets.backend_kwargs"])["connections_prefix"]
    login = {
        **{"engine": "mysql", "host": "127.0.0.1", "port": database.port},
        **{"username": database.user, "password": database.password, "dbname": database.name},
    }
    aws.client("secretsmanager").create_secret(
        Name=f"{prefix}/vigil_database", SecretString=json.dumps(login)
    )
    suffix = uuid.uuid4().hex[:8]
    bucket = f"vigil-{suffix}"
    where = {"LocationConstraint": REGION}
    aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(SMALL_PIPELINE)
    further = {
        "vigil.bucket": bucket,
        "vigil.alert_topic_arn": aws.client("sns").create_topic(Name=f"alerts-{suffix}")["TopicArn"],
        "vigil.pipeline_file": str(pipeline),
    }
    cloud = {name: value for name, value in aws_environment(local_aws).items() if name != "PATH"}
    modules = ",".join(sorted(third_party_imports()))
    return staged.run("worker", modules, options=further, more={**cloud, "VIGIL_TEST_RUN": "1"})


def test_pip_installs_what_is_named_and_changes_nothing_else(packages: ImagePackages) -> None:
    assert preinstalled().items() <= packages.image.items()
    before, after = packages.image, packages.all
    added = {name: version for name, version in after.items() if name not in before}
    assert {name: version for name, version in after.items() if name in before} == before
    assert {normalised(name): version for name, version in added.items()} == named()
    for name, version in pins(ESSENTIAL).items():
        assert after.get(name, version) == version
    assert packages.install_s < 9 * 60


def test_the_start_script_ends_cleanly_and_exports_nothing_that_is_protected(staged: Stage) -> None:
    container = staged.container("scheduler")
    log = staged.root / "startup-by-itself.log"
    started = time.monotonic()
    with log.open("wb") as output:
        exports = exports_of(staged.staged.startup_script, container.variables(), output)
    assert time.monotonic() - started < 10
    assert not [name for name in exports if is_protected(name)]
    assert log.read_text() == "vigil: nothing to prepare for scheduler\n"


def test_the_environments_options_are_legal_and_reach_airflow(staged: Stage) -> None:
    options = airflow_options()
    environment = staged.environment("scheduler")
    assert options
    for option, value in options.items():
        assert re.fullmatch(r"[a-z]+([a-z0-9._]*[a-z0-9_]+)?", option)
        assert len(option) <= 64
        assert value.isascii()
        assert value.isprintable()
        assert environment[variable_of(option)] == value


def test_what_was_staged_can_be_scanned_and_relies_on_no_path(staged: Stage) -> None:
    names = names_in(staged.root / "package" / "plugins.zip")
    assert ".airflowignore" in names
    assert "vigil/__init__.py" in names
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]
    for file in staged.staged.path.rglob("*.py"):
        assert str(HOME) not in file.read_text(encoding="utf-8"), f"{file} relies on a path"


def test_scheduler_and_triggerer_read_every_dag(staged: Stage, scheduler: dict[str, Any]) -> None:
    assert_as_it_should_be(scheduler, staged)
    assert scheduler["import_errors"] == {}
    assert {dag: f"{dag}.py" for dag in scheduler["dags"]} == INVENTORY
    assert scheduler["files"].keys() == set(INVENTORY.values())
    # The machine may be busy; 30 s would be the end.
    assert max(scheduler["files"].values()) < 5
    assert scheduler["heavy"] == []
    for dag_id, dag in scheduler["dags"].items():
        assert len(dag_id) <= 50
        assert dag["tasks"] == dag["tasks_after_serialization"] != []
        assert dag["owners"] == ["vigil"]
        assert dag["queues"] == ["default"], "a queue of its own has no worker on MWAA"
        assert "vigil" in dag["tags"]
        assert dag["schedule"] != "* * * * *" or dag["max_active_runs"] == 1
    queue = airflow_options()["vigil.image_push_queue_url"]
    (trigger,) = scheduler["dags"]["retrain_on_image_push"]["triggers"]
    assert trigger["same"]
    assert trigger["arguments"]["sqs_queue"] == queue


def test_a_worker_finds_everything_and_runs(staged: Stage, worker: dict[str, Any]) -> None:
    assert_as_it_should_be(worker, staged)
    assert worker["problems"] == []
    assert worker["include"] == str(staged.home / "dags" / "include")
    assert worker["empty_statements"] == []
    assert worker["statements"] == len(list((PROJECT / "include" / "sql").rglob("*.sql")))
    assert worker["migrations"] >= 7
    assert "event-counts" in worker["models"]
    assert worker["sources"] == 1
    assert worker["run"]["state"] == "success", worker["output"][-4000:]
    assert worker["run"]["returned"]["judged"]["model_version"] is None


def test_the_webserver_serves_plugins_to_those_who_may(staged: Stage, webserver: dict[str, Any]) -> None:
    assert_as_it_should_be(webserver, staged)
    assert webserver["auth_manager"] == "FabAuthManager"
    assert webserver["token"] == 201
    assert set(webserver["without_token"].values()) <= {401, 403}
    assert set(webserver["with_token"].values()) == {200}
    assert set(webserver["listed"]) >= set(webserver["plugins"])
    reserved = ("/api/v2", "/ui", "/execution", "/auth", "/pluginsv2")
    assert not [prefix for prefix in webserver["prefixes"] if not prefix or prefix.startswith(reserved)]


def test_a_project_that_breaks_the_rules_is_found_out(packages: ImagePackages, tmp_path: Path) -> None:
    project = tmp_path / "project"
    files = {
        "plugins/foo/json.py": "",
        "include/configs/x.yaml": "",
        "dags/wrong.py": "from airflow.sdk import DAG\nfrom dags.right import right\n",
        "dags/right.py": "from airflow.sdk import DAG\nright = DAG('right', schedule=None)\n",
        "requirements.txt": "",
        "deploy/startup.sh": "",
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    report = stage(project, tmp_path / "stage", packages, {}).run("scheduler")
    assert report["misnamed"] == {"json": "foo.json"}
    assert list(report["import_errors"]) == ["wrong.py"]
    assert "No module named 'dags'" in report["import_errors"]["wrong.py"]
    assert list(report["dags"]) == ["right"]


def assert_as_it_should_be(report: dict[str, Any], staged: Stage) -> None:
    """Hold what every container must: plugins by their own names, nothing of the checkout, no stray file."""
    package = staged.root / "package"
    assert files_under(staged.staged.dags) == files_under(package / "dags")
    assert files_under(staged.staged.plugins) == set(names_in(package / "plugins.zip"))
    assert report["plugin_errors"] == {}
    assert report["plugins"] == [] if not ENTRY_PLUGINS else len(report["plugins"]) >= 1
    assert report["misnamed"] == {}
    assert report["strangers"] == []
    assert report["written"] == []


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

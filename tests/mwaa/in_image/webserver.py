"""What the webserver does with the package: FAB as auth manager, and every page of a plugin."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from watching import Watch, plugin_report, tell

PASSWORD = "only in the test"


def prepare_metadata() -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from airflow.utils.db import initdb

    initdb()
    with get_application_builder() as builder:
        users = builder.sm
        users.add_user("visitor", "A", "Visitor", "visitor@example.org", users.find_role("Admin"), PASSWORD)


def page_report() -> dict[str, Any]:
    from airflow import plugins_manager
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from fastapi.testclient import TestClient

    app = create_app(apps="all")
    client = TestClient(app, base_url="http://localhost")
    token = client.post("/auth/token", json={"username": "visitor", "password": PASSWORD})
    allowed = {"Authorization": f"Bearer {token.json().get('access_token')}"}
    pages = [f"{own['url_prefix']}/" for own in plugins_manager.get_fastapi_plugins()[0]]
    listed = client.get("/api/v2/plugins", headers=allowed)
    return {
        "auth_manager": type(get_auth_manager()).__name__,
        "token": token.status_code,
        "without_token": {page: client.get(page).status_code for page in ("/api/v2/dags", *pages)},
        "with_token": {
            page: client.get(page, headers=allowed).status_code for page in ("/api/v2/dags", *pages)
        },
        "prefixes": [own["url_prefix"] for own in plugins_manager.get_fastapi_plugins()[0]],
        "listed": [plugin["name"] for plugin in listed.json()["plugins"]],
    }


if __name__ == "__main__":
    watch = Watch(sys.argv[2], sys.argv[3])
    (Path(os.environ["AIRFLOW_HOME"]) / "logs").mkdir(exist_ok=True)
    prepare_metadata()
    report = plugin_report() | page_report()
    tell(report | watch.report())

from __future__ import annotations

import pytest

from vigil.operators.environment import load_settings

NEEDED = {
    "BUCKET": "vigil-bucket",
    "ALERT_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:alerts",
    "SAGEMAKER_ROLE_ARN": "arn:aws:iam::123456789012:role/sagemaker",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in NEEDED.items():
        monkeypatch.setenv(f"AIRFLOW__VIGIL__{name}", value)
    return monkeypatch


def test_alerts_link_to_airflow_if_it_knows_its_own_address(environment: pytest.MonkeyPatch) -> None:
    assert load_settings().alert_link is None
    environment.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    assert load_settings().alert_link == "https://airflow.example/dags/detect_anomalies"


def test_a_link_of_ones_own_wins(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    environment.setenv("AIRFLOW__VIGIL__ALERT_LINK", "https://graphs.example/{series}")
    assert load_settings().alert_link == "https://graphs.example/{series}"

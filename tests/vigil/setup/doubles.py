"""An account whose answers a test writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from vigil.aws import Aws
from vigil.database import Database
from vigil.settings import Settings
from vigil.setup.ground import Ground
from vigil.windows import now

SETTINGS = Settings(
    bucket="vigil-test",
    alert_topic_arn="arn:aws:sns:eu-west-1:123456789012:alerts",
    sagemaker_role_arn="arn:aws:iam::123456789012:role/jobs",
    key_arn="arn:aws:kms:eu-west-1:123456789012:key/any",
)
CALLER = "arn:aws:sts::123456789012:assumed-role/airflow/a-session"


@dataclass(frozen=True)
class Answers(Aws):
    """Gives clients that answer as written, at the address of the cloud."""

    calls: dict[str, dict[str, Callable[..., Any]]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        meta = SimpleNamespace(region_name="eu-west-1", endpoint_url="https://s3.eu-west-1.amazonaws.com")
        identity = {"Account": "123456789012", "Arn": CALLER}
        known = {"sts": {"get_caller_identity": lambda: identity}, **self.calls}
        return SimpleNamespace(meta=meta, **known.get(service, {}))


def ground(aws: Aws, **variables: str) -> Ground:
    def no_database(_: Settings, conn_id: str) -> Database:
        raise LookupError(conn_id)

    return Ground(lambda: SETTINGS, no_database, lambda settings: aws, now, variables)

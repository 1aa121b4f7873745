"""What checks look at: settings, database and account, each opened when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from urllib.parse import urlsplit

from botocore.config import Config

from vigil.aws import Aws
from vigil.database import Database
from vigil.settings import Settings

_IMPATIENT = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 2})
_CLOUD = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


@dataclass(frozen=True)
class Ground:
    """What checks look at.

    Attributes:
        read_settings: reads the options of the section `[vigil]`.
        open_connection: gives the database of an Airflow connection, as the settings say.
        open_aws: gives clients of the account that the settings name.
        now: tells the present time.
        variables: of the environment.
        airflow_role_arn: role whose permissions are looked at; by default the caller's own.
    """

    read_settings: Callable[[], Settings]
    open_connection: Callable[[Settings, str], Database]
    open_aws: Callable[[Settings], Aws]
    now: Callable[[], datetime]
    variables: Mapping[str, str]
    airflow_role_arn: str | None = None
    _secrets: set[str] = field(default_factory=set, repr=False)

    @cached_property
    def settings(self) -> Settings:
        """Return the settings."""
        return self.read_settings()

    @cached_property
    def database(self) -> Database:
        """Return the pipeline's own database."""
        return self.connection(self.settings.database_conn_id)

    @cached_property
    def aws(self) -> Aws:
        """Return clients of the account, which soon give up on what they cannot reach."""
        return replace(self.open_aws(self.settings), config=_IMPATIENT, _clients={})

    @property
    def region(self) -> str:
        """Return the region of everything."""
        return str(self.aws.client("s3").meta.region_name)

    @property
    def partition(self) -> str:
        """Return the part of AWS that the account is in, as its ARNs name it."""
        return self.settings.alert_topic_arn.split(":")[1]

    @property
    def account(self) -> str:
        """Return the account's number, by an ARN: a private network may have no way to STS."""
        return self.settings.alert_topic_arn.split(":")[4]

    @property
    def is_in_the_cloud(self) -> bool:
        """Tell whether AWS itself answers, and not an embedded one."""
        host = urlsplit(self.aws.client("s3").meta.endpoint_url).hostname or ""
        return host.endswith(_CLOUD)

    def connection(self, conn_id: str) -> Database:
        """Return the database of a connection, and remember what must not be shown of it."""
        database = self.open_connection(self.settings, conn_id)
        self._secrets.add(database.password)
        return database

    def without_secrets(self, text: str) -> str:
        """Return a text with every password in it struck out."""
        for secret in filter(None, self._secrets):
            text = text.replace(secret, "***")
        return text

"""Tasks of `retrain_on_new_data`: files that people drop, from the first look to their settling."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from vigil.operators.environment import load_settings, open_aws, open_database, still_going_on
from vigil.operators.open_run import OpenRun, open_run
from vigil.operators.requests import begin, name_of_run, settle_request
from vigil.operators.telling import publish_what_waits

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.aws import Aws
    from vigil.settings import Settings
    from vigil.training.triggers.incoming import IncomingFile

log = logging.getLogger(__name__)

# A run must have ended before the next one is due.
_WAIT = timedelta(minutes=9)


class IncomingFilesSensor(S3KeySensor):
    """Wait, without a worker slot, until somebody has dropped a CSV; skipped when nobody has."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            bucket_key="",
            wildcard_match=True,
            deferrable=True,
            soft_fail=True,
            poke_interval=15,
            timeout=_WAIT.total_seconds(),
            **kwargs,
        )

    def execute(self, context: Context) -> None:
        """Look below `incoming/`, or below one model's folder."""
        settings = load_settings()
        self.aws_conn_id = settings.aws_conn_id
        model = context["params"]["model"]
        self.bucket_key = f"s3://{settings.bucket}/incoming/{f'{model}/' if model else ''}*.[cC][sS][vV]"
        super().execute(context)


@task
def claim_new_files() -> dict[str, Any]:
    """Claim the files of the model whose file has waited longest, and settle what is trained on them.

    Raises:
        AirflowSkipException: no file can be used.
        SettingsError: what is asked for cannot be done, and no other model has files.
    """
    from vigil.errors import SettingsError
    from vigil.training.triggers.incoming import incoming_files

    context = get_current_context()
    settings = load_settings()
    aws = open_aws(settings)
    refused: SettingsError | None = None
    by_model: dict[str, list[IncomingFile]] = {}
    for file in incoming_files(aws.client("s3"), settings.bucket, context["params"]["model"]):
        by_model.setdefault(file.model, []).append(file)
    for model, files in by_model.items():
        log.info("%d files wait for %s", len(files), model or "no model")
        if not context["params"]["dry_run"] and _set_aside_misplaced(settings, aws, model, files):
            continue
        try:
            opened = settle_request(context, model)
        except SettingsError as error:
            # The files of another model need not wait until somebody has corrected this one.
            log.error("%s", error)
            refused = refused or error
            continue
        if context["params"]["dry_run"] or _claim(context, opened, files):
            return begin(context, opened)
    if refused:
        raise refused
    raise AirflowSkipException("No file can be used that nobody has trained on.")


def _set_aside_misplaced(settings: Settings, aws: Aws, model: str, files: list[IncomingFile]) -> bool:
    """Move files aside that lie where no model learns from files; return whether they did."""
    from vigil.database import connected
    from vigil.training.triggers.incoming import set_aside, why_misplaced
    from vigil.windows import now

    reason = why_misplaced(model)
    if reason is None:
        return False
    with connected(open_database(settings)) as connection:
        for file in files:
            log.warning("%s: %s", file.location, reason)
            set_aside(connection, aws.client("s3"), file, reason, now())
    publish_what_waits(settings, aws)
    return True


def _claim(context: Context, opened: OpenRun, files: list[IncomingFile]) -> bool:
    """Claim what can be used of a model's files; return whether there is any."""
    from vigil.database import connected
    from vigil.training.spec.data import Tabular
    from vigil.training.triggers.incoming import claim_files
    from vigil.windows import now

    data = opened.spec.data
    assert isinstance(data, Tabular)  # noqa: S101 - files of other models were set aside
    with connected(open_database(opened.settings)) as connection:
        claimed = claim_files(
            connection,
            opened.s3,
            files,
            opened.run.model,
            data,
            name_of_run(context),
            still_going_on(context),
            now(),
        )
    for place in claimed.files:
        log.info("Claimed %s", place)
    for place in claimed.held:
        log.info("Another run trains on %s", place)
    for place, reason in claimed.set_aside.items():
        log.warning("Set aside %s: %s", place, reason)
    publish_what_waits(opened.settings, opened.aws)
    return bool(claimed.files)


@task
def settle_files(request: Any) -> list[str]:
    """Keep the files that the run has trained on under `accepted/`; return where."""
    from vigil.database import connected
    from vigil.training.triggers.accepted import settle_files
    from vigil.windows import now

    opened = open_run(request)
    with connected(open_database(opened.settings)) as connection:
        kept = settle_files(connection, opened.s3, opened.request, now())
    for place in kept:
        log.info("Kept at %s", place)
    return [str(place) for place in kept]

"""The beginning of every training run: what is asked for is settled once, for all later tasks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from vigil.operators.environment import load_settings, open_aws, open_database, run_moment
from vigil.operators.open_run import OpenRun
from vigil.operators.telling import send_notice, tell

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.aws import Aws
    from vigil.settings import Settings
    from vigil.training.resolving import Said, TrainingRequest

log = logging.getLogger(__name__)


@task
def resolve_request(model: str) -> dict[str, Any]:
    """Settle what is trained, keep it on S3, and return it; in a dry run, only show it."""
    context = get_current_context()
    opened = settle_request(context, model)
    return begin(context, opened)


def settle_request(context: Context, model: str, more: Sequence[Said] = ()) -> OpenRun:
    """Settle what a run trains.

    Args:
        context: of the task.
        model: name of the model spec.
        more: what whatever set off the run says; the trigger form says more than it.

    Raises:
        SettingsError: somebody said what cannot be done; nothing was paid for yet.
        AirflowSkipException: the model that serves was trained for a later moment.
    """
    from vigil.errors import SettingsError

    settings = load_settings()
    aws = open_aws(settings)
    _refuse_late_run(context, settings, model)
    try:
        return OpenRun(settings, aws, _settle(context, settings, aws, model, more))
    except SettingsError as error:
        refuse(context, settings, aws, model, error)
        raise


def _refuse_late_run(context: Context, settings: Settings, model: str) -> None:
    from vigil.database import connected, in_transaction
    from vigil.released_models import newer_champion

    due_at = run_moment(context)
    with connected(open_database(settings)) as connection:
        newer = in_transaction(connection, lambda cursor: newer_champion(cursor, model, due_at))
    if newer is not None:
        raise AirflowSkipException(
            f"{newer.model_version}, which serves, was trained for a later moment than {due_at}: a late run "
            "does not replace it. Trigger a new run if you want that."
        )


def _settle(
    context: Context, settings: Settings, aws: Aws, model: str, more: Sequence[Said]
) -> TrainingRequest:
    from vigil.aws import S3Location
    from vigil.database import connected, in_transaction
    from vigil.operators.parameters import said_in_the_form
    from vigil.release.hosting import refuse_other_hosting
    from vigil.released_models import champion
    from vigil.training.images import refuse_strange_image
    from vigil.training.overrides import parse_overrides
    from vigil.training.resolving import Said, inherit_mode, inherited, read_manifest, resolve
    from vigil.training.spec.model import load_model_spec

    spec = load_model_spec(model)
    refuse_other_hosting(aws.client("sagemaker"), spec.endpoint.name, spec.endpoint.hosting)
    said: list[Said] = []
    location = S3Location(settings.bucket, f"incoming/{model}/manifest.json")
    manifest = read_manifest(aws.client("s3"), location)
    if manifest is not None:
        what = f"the manifest {location}"
        overrides = parse_overrides(manifest, what)
        if overrides.image_uri:
            # Who may drop files is trusted with data, not with what runs.
            refuse_strange_image(overrides.image_uri, settings.sagemaker_role_arn.split(":")[4], what)
        said.append(Said("manifest.json", overrides))
    said += [*more, said_in_the_form(context["params"])]
    mode = inherit_mode(spec, said)
    with connected(open_database(settings)) as connection:
        serving = in_transaction(connection, lambda cursor: champion(cursor, model))
    from_job = inherited(
        mode,
        aws.client("sagemaker"),
        serving.training_job if serving else None,
        settings.inherit_job_prefix,
    )
    if mode != "none" and from_job is None:
        log.warning("There is no job to inherit from (%s): the model spec's own values are taken.", mode)
    return resolve(
        spec, said, from_job, dag_run=name_of_run(context), due_at=run_moment(context), bucket=settings.bucket
    )


def refuse(context: Context, settings: Settings, aws: Aws, model: str, error: Exception) -> None:
    """Tell people, once a day, that a training cannot even begin."""
    from vigil.aws import content_hash
    from vigil.notices import Notice

    identity = f"training-failed/{model}/{run_moment(context):%Y%m%d}-{content_hash(str(error))}"
    text = f"{model}: training cannot begin in {name_of_run(context)}.\n{error}"
    send_notice(settings, aws, Notice(identity, "training-failed", model, text))


def begin(context: Context, opened: OpenRun) -> dict[str, Any]:
    """Show the resolved request, keep it and tell people.

    Raises:
        AirflowSkipException: it is a dry run.
    """
    request = opened.request.to_json()
    for line in opened.request.lines():
        log.info("%s", line)
    log.info("The image is %s", opened.spec.algorithm.uri(opened.where["region"]))
    if context["params"].get("dry_run"):
        context["ti"].xcom_push("return_value", request)
        raise AirflowSkipException("A dry run: nothing is trained. What would be is shown above.")
    opened.request.save(opened.s3)
    tell(
        opened,
        "retraining-triggered",
        f"{opened.run.model}: training was triggered by {opened.request.dag_run}.\n"
        f"What is trained: {opened.request.location}",
    )
    return request


def name_of_run(context: Context) -> str:
    """Return how a run is known to the ledger and to people: its DAG and its own name."""
    return f"{context['dag'].dag_id}/{context['run_id']}"

"""Tasks of `retrain_on_image_push`: which image is new, and that it was trained with."""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    get_current_context,
    task,
)
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowSkipException

from vigil.operators.environment import load_settings, open_aws, open_database, still_going_on
from vigil.operators.open_run import open_run
from vigil.operators.requests import begin, name_of_run, settle_request

log = logging.getLogger(__name__)

_LOOK_S = 10


def image_push_schedule() -> Any:
    """Return when to look for new images: when the queue tells of a push, and every hour."""
    hourly = CronTriggerTimetable("23 * * * *", timezone="UTC", run_immediately=False)
    queue = _queue_url()
    if queue is None:
        return hourly
    trigger = SqsSensorTrigger(
        sqs_queue=queue,
        aws_conn_id=conf.get("vigil", "aws_conn_id", fallback="aws_default"),
        waiter_delay=_LOOK_S,
    )
    pushed = Asset(
        name="vigil-image-pushes", watchers=[AssetWatcher(name="vigil-image-push-queue", trigger=trigger)]
    )
    return AssetOrTimeSchedule(timetable=hourly, assets=[pushed])


def watch_tag() -> str:
    """Return a tag that tells people whether a queue is watched."""
    return "hourly-look-only" if _queue_url() is None else "watches-pushes"


def _queue_url() -> str | None:
    url: str | None = conf.get("vigil", "image_push_queue_url", fallback=None)
    return url or None


@task
def claim_pushed_image() -> dict[str, Any]:
    """Claim the first new image of a model that follows a repository, and settle what is trained with it.

    Raises:
        AirflowSkipException: no image is new.
    """
    from vigil.database import connected
    from vigil.training.overrides import Overrides
    from vigil.training.resolving import Said
    from vigil.training.triggers.pushed_images import (
        claim_image,
        followed_images,
        is_trained_with,
        new_image,
    )
    from vigil.windows import now

    context = get_current_context()
    settings = load_settings()
    ecr = open_aws(settings).client("ecr")
    for followed in followed_images(context["params"]["model"]):
        image = new_image(ecr, followed)
        if image is None:
            log.info("%s: nobody has pushed %s:%s yet", followed.model, followed.repository, followed.tag)
            continue
        said = Said(f"image push {followed.tag}", Overrides(image_uri=image.source))
        with connected(open_database(settings)) as connection:
            if not is_trained_with(connection, image):
                # Before the claim: what cannot be trained spends none of its attempts.
                opened = settle_request(context, followed.model, [said])
                if context["params"]["dry_run"] or claim_image(
                    connection, image, name_of_run(context), still_going_on(context), now()
                ):
                    return begin(context, opened)
        log.info("%s: %s is not new", followed.model, image.source)
    raise AirflowSkipException("No image that a model follows is new.")


@task
def settle_image(request: Any) -> None:
    """Note that a run has trained with the image."""
    from vigil.database import connected
    from vigil.training.triggers.pushed_images import settle_image
    from vigil.windows import now

    opened = open_run(request)
    with connected(open_database(opened.settings)) as connection:
        settle_image(connection, opened.request, now())

"""# retrain_on_image_push

When somebody pushes an image to ECR: train with it, by its digest, and release what is good enough. A model
follows the repository of its `algorithm.image_uri` if its spec says `retrain_on_push: true`; the tag in the
URI is the one it follows.

EventBridge's event reaches the queue of the setting `image_push_queue_url`, which wakes this DAG; without
the setting it has no watcher and looks at the registry every hour. The event itself decides nothing: what
counts is which digest the followed tag has now and whether a run has trained with it. So a lost event is
made good within the hour, and a doubled one finds nothing to do. A push that another push has overtaken is
not trained.

**Its outcome.** No new digest: the run succeeds with the training skipped. Else as `retrain_weekly`.

**When a run fails**, do nothing, or clear the failed task: the next run takes over the digest of a run that
has failed; after three failed runs it is given up until the next push. What else it says, see
`retrain_weekly`.
"""

from __future__ import annotations

from airflow.sdk import DAG

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.images import claim_pushed_image, image_push_schedule, settle_image, watch_tag
from vigil.operators.parameters import dry_run_parameter, model_parameter, training_parameters
from vigil.operators.train_and_release import train_and_release

with DAG(
    dag_id="retrain_on_image_push",
    description="Train with an image that somebody pushed, and release what is good enough.",
    doc_md=__doc__,
    schedule=image_push_schedule(),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "model": model_parameter(None, "Only look at the image of this model; empty looks at all."),
        **training_parameters(),
        "dry_run": dry_run_parameter(),
    },
    tags=[TAG, "training", watch_tag()],
):
    request = claim_pushed_image()
    registered = train_and_release(request)
    registered >> settle_image(request)

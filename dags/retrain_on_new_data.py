"""# retrain_on_new_data

Every ten minutes: wait for CSV files that somebody dropped under `incoming/<model>/`, check and claim them,
train on them together with the older ones (or alone, as the model spec says), and release what is good
enough.

One run serves one model, the one whose file has waited longest, and takes all its files at once; files of
other models wait for the next run. A file stays where it was dropped until a run has trained on it, and is
then kept under `accepted/`. One that cannot be used, or whose content is known already, is moved to
`set-aside/` with a report beside it that says which row and column is wrong, and people are told.

`manifest.json` beside the files says what is different from the model spec; README, "What is trained", has
its fields. The trigger form says more than it.

**Its outcome.** No file within nine minutes: the run is skipped. Nothing usable: it succeeds with the
training skipped. Else as `retrain_weekly`.

**When a run fails**, do nothing, or clear the failed task: the next run takes over the files of a run that
has failed. After three runs that failed with the same file it is set aside.

| it says | do |
|---|---|
| something cannot be used | correct the manifest it names; the files wait |
| set aside | read the report beside the file; drop a corrected file |
| all else | see `retrain_weekly` |
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.incoming import IncomingFilesSensor, claim_new_files, settle_files
from vigil.operators.parameters import dry_run_parameter, model_parameter, training_parameters
from vigil.operators.train_and_release import train_and_release

with DAG(
    dag_id="retrain_on_new_data",
    description="Train on files that somebody dropped, and release what is good enough.",
    doc_md=__doc__,
    schedule="*/10 * * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "model": model_parameter(None, "Only look at the files of this model; empty looks at all."),
        **training_parameters(),
        "dry_run": dry_run_parameter(),
    },
    tags=[TAG, "training"],
):
    dropped = IncomingFilesSensor(task_id="wait_for_files")
    request = claim_new_files()
    registered = train_and_release(request)

    dropped >> request
    # Trained on, whether or not the candidate was good enough.
    registered >> settle_files(request)

"""`detect_anomalies` from due to success, against a DAG of as many no-op tasks in the same Airflow.

Both are triggered in turn; due is the moment of the trigger. In each run of ours one window of every series
waits for its verdict, so the endpoint is asked each time. With it comes the time to parse the DAGs folder.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from datetime import timedelta

from bench.report import BENCH_DIR, Contender, Sample, write_report
from local_stack.airflow import AirflowApi, every
from local_stack.lifecycle import bring_down, start_airflow, start_services
from local_stack.stack import PROJECT, Stack, open_stack
from vigil.database import connected
from vigil.windows import WINDOW, now, window_of

RUNS = 15
SERIES = 20
MOST_TIMES_AS_LONG = 1.5
PARSE_LIMIT_S = 2.0
_RUN_LIMIT_S = 300
_PHASE = random.Random(7)  # noqa: S311 - no secret depends on it


def main() -> None:
    """Bring up a stack of its own, train once, then measure."""
    folder = BENCH_DIR / "stack"
    if folder.exists():
        bring_down(open_stack(folder))
        shutil.rmtree(folder)
    stack = open_stack(folder)
    _prepare(stack)
    try:
        start_services(
            stack, print, {"pipeline_file": str(folder / "pipeline.yaml"), "allowed_lateness_s": 0}
        )
        api = start_airflow(stack, print)
        for _ in every(0.3, 60, "the DAGs"):
            if {"no_op", "detect_anomalies", "retrain_weekly"} <= api.dag_ids():
                break
        for dag_id in ("no_op", "retrain_weekly", "detect_anomalies"):
            api.unpause(dag_id)
        _run(api, "detect_anomalies", "history")
        _run(api, "retrain_weekly", "train")
        ours, theirs = [], []
        for number in range(RUNS):
            _fall_anywhere_into_the_schedulers_loop()
            theirs.append(_run(api, "no_op", f"run-{number}"))
            _leave_a_window_to_judge(stack)
            _fall_anywhere_into_the_schedulers_loop()
            ours.append(_run(api, "detect_anomalies", f"run-{number}"))
            judged = api.xcom("detect_anomalies", f"run-{number}", "collect_judge_alert")["judged"]
            if judged["judged"] < SERIES:
                raise RuntimeError(f"only {judged['judged']} windows were judged")
    finally:
        bring_down(stack)
    parse_s = _parse_s()
    mine, other = Contender("detect_anomalies", ours), Contender("no-op DAG", theirs)
    times_as_long = mine.median_s / other.median_s
    write_report(
        "detect_run",
        mine,
        other,
        times_as_long <= MOST_TIMES_AS_LONG and parse_s < PARSE_LIMIT_S,
        times_as_long=round(times_as_long, 2),
        parse_s=round(parse_s, 2),
        series=SERIES,
    )


def _prepare(stack: Stack) -> None:
    dags = stack.folder / "dags"
    dags.mkdir()
    for file in (*(PROJECT / "dags").glob("*.py"), PROJECT / "bench" / "dags" / "no_op.py"):
        # Minutely runs would come between the measured ones.
        text = file.read_text().replace('schedule="* * * * *"', "schedule=None")
        (dags / file.name).write_text(text)
    stack.extra_environment_file.write_text(json.dumps({"AIRFLOW__CORE__DAGS_FOLDER": str(dags)}))
    live_from = window_of(now()) - timedelta(hours=1)
    pipeline = {
        "model": "event-counts",
        "sources": [
            {
                "kind": "simulator",
                "name": "shop",
                "starts_at": f"{live_from - timedelta(weeks=3):%Y-%m-%dT%H:%M:%SZ}",
                "live_from": f"{live_from:%Y-%m-%dT%H:%M:%SZ}",
                "series": [{"name": f"series-{n:02d}", "base_rate": 5 + n} for n in range(SERIES)],
            }
        ],
    }
    # YAML reads JSON.
    (stack.folder / "pipeline.yaml").write_text(json.dumps(pipeline))


def _run(api: AirflowApi, dag_id: str, run_id: str) -> Sample:
    api.trigger(dag_id, run_id)
    run = api.follow(dag_id, run_id, _RUN_LIMIT_S, lambda states: None, pause_s=0.1)
    if run.state != "success":
        raise RuntimeError(f"{dag_id} {run_id} ended as {run.state}")
    return Sample(run.due_to_end_s, 0.0)


def _fall_anywhere_into_the_schedulers_loop() -> None:
    """Wait for a random part of a second, or turns would meet the loop at the same point each time."""
    time.sleep(_PHASE.random())


def _leave_a_window_to_judge(stack: Stack) -> None:
    window = window_of(now()) - 2 * WINDOW
    with connected(stack.database) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM predictions WHERE window_start = %s", (window,))
        cursor.execute(
            "INSERT INTO unjudged_windows (series, window_start)"
            " SELECT series, window_start FROM window_counts WHERE window_start = %s"
            " ON DUPLICATE KEY UPDATE unjudged_windows.window_start = unjudged_windows.window_start",
            (window,),
        )
        connection.commit()


def _parse_s() -> float:
    """Return the seconds of processor time that parsing the folder takes once Airflow itself is loaded."""
    script = (
        "import sys, time, airflow.sdk, airflow.providers.amazon.aws.hooks.base_aws\n"
        "started = time.perf_counter()\n"
        "for name in sys.argv[1:]:\n"
        "    exec(compile(open(name).read(), name, 'exec'), {'__name__': name})\n"
        "print(time.perf_counter() - started)\n"
    )
    files = [str(file) for file in sorted((PROJECT / "dags").glob("*.py"))]
    times = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script, *files], capture_output=True, text=True, check=True, timeout=120
        )
        times.append(float(done.stdout.split()[-1]))
    return sorted(times)[1]


if __name__ == "__main__":
    main()

"""Load what every task needs once, in the scheduler, before its workers fork from it.

A laptop's trick: LocalExecutor's workers inherit the modules, so that a task starts in a tenth of a second.
Amazon MWAA's workers are not forked from the scheduler, and do not see this file.
"""

from __future__ import annotations

import importlib
import sys

MODULES = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.amazon.aws.sensors.s3",
    "airflow.dag_processing.dagbag",
    "vigil.operators.detection",
    "vigil.operators.release",
    "vigil.operators.training",
    "vigil.detection.backfilling",
    "vigil.detection.collecting",
    "vigil.detection.judging",
    "vigil.detection.outbox",
    "vigil.detection.sources.opening",
    "vigil.release.deployment",
    "vigil.release.leases",
    "vigil.release.registry",
    "vigil.release.verification",
    "vigil.training.dataset",
    "vigil.training.evaluation.job",
    "vigil.training.counts.export",
    "vigil.training.evaluation.gate",
    "vigil.training.request",
)

if "scheduler" in sys.argv:
    for module in MODULES:
        importlib.import_module(module)

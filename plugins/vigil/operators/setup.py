"""The task of `check_setup`."""

from __future__ import annotations

import logging
import os

from airflow.sdk import get_current_context, task

from vigil.operators.environment import load_settings, open_aws, open_connection

log = logging.getLogger(__name__)


@task(retries=0)
def look_at_everything() -> None:
    """Go through all checks; log each finding, and leave them as XCom `findings`.

    Raises:
        VigilError: something has to be mended; the message names it.
    """
    from vigil.errors import VigilError
    from vigil.setup.checks import CHECKS
    from vigil.setup.findings import as_json, examine, failures, summary
    from vigil.setup.ground import Ground
    from vigil.windows import now

    ground = Ground(load_settings, open_connection, open_aws, now, os.environ)
    findings = examine(CHECKS, ground)
    for finding in findings:
        log.log(logging.ERROR if finding.outcome == "fail" else logging.INFO, "%s", finding)
    get_current_context()["ti"].xcom_push(key="findings", value=as_json(findings))
    bad = failures(findings)
    if bad:
        raise VigilError("\n".join([f"{summary(findings)}:", *map(str, bad)]))
    log.info(summary(findings))

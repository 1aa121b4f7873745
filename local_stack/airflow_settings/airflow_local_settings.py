"""Load what every task needs once, in the scheduler, before its workers fork from it.

A laptop's trick: LocalExecutor's workers inherit the modules, so that a task starts in a tenth of a second.
Amazon MWAA's workers are not forked from the scheduler, and do not see this file.
"""

from __future__ import annotations

import sys

if "scheduler" in sys.argv:
    import pymysql  # noqa: F401 - imported for the workers

    import vigil.operators  # noqa: F401

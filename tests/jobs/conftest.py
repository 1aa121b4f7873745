"""The job's modules import each other by bare name, as they lie beside each other in the cloud."""

from __future__ import annotations

import sys

from vigil.paths import jobs_dir

sys.path.insert(0, str(jobs_dir()))

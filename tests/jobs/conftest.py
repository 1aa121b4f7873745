"""The job's modules import each other by bare name, as they lie beside each other in the cloud."""

from __future__ import annotations

import sys

import vigil.answers
import vigil.bands
from vigil.paths import jobs_dir

sys.path.insert(0, str(jobs_dir()))
sys.modules.setdefault("answers", vigil.answers)
sys.modules.setdefault("bands", vigil.bands)

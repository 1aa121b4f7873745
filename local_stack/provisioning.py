"""What the pipeline needs in AWS, from the same CloudFormation templates as in the cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy.stacks import bring_about
from deploy.templates import read_template, vigil_settings

# A laptop has a database of its own, and its Airflow runs beside the embedded AWS, not in it.
TEMPLATES = ("storage", "pipeline", "training-stacks", "roles", "monitoring")
ENVIRONMENT = "local"
_POLL_S = 0.2


def provision(cloudformation: Any, parameters: dict[str, str] | None = None) -> dict[str, str]:
    """Create or update what the pipeline and its training stacks need; return all outputs by name.

    Args:
        cloudformation: client.
        parameters: of the templates, by name.
    """
    known = {"Environment": ENVIRONMENT, **(parameters or {})}
    outputs: dict[str, str] = {}
    for name in TEMPLATES:
        template = read_template(name)
        outputs |= bring_about(cloudformation, known["Environment"], template, {**known, **outputs}, _POLL_S)
    return outputs


def write_settings(outputs: dict[str, str], file: Path, further: dict[str, Any]) -> None:
    """Write the options of the section [vigil]: as on Amazon MWAA, and what the laptop adds."""
    settings = {
        # Its database is reached by the loopback interface only, and has no certificate.
        **vigil_settings({**outputs, "DatabaseCaFile": ""}),
        # The embedded AWS's jobs take seconds.
        "poll_interval_s": 0.5,
        **further,
    }
    file.write_text(json.dumps(settings, indent=2))

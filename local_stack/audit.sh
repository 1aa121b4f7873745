#!/usr/bin/env bash
# Ask PyPI's advisory database about every package of requirements.lock. Needs a network that reaches pypi.org.
set -euo pipefail
cd "$(dirname "$0")/.."
PIP_AUDIT=pip-audit==2.10.1

# 0: nothing known. Whatever it could not ask about fails it, too: silence is no answer.
if .venv/bin/uv tool run --quiet --from "$PIP_AUDIT" pip-audit --requirement requirements.lock --require-hashes \
    --disable-pip --strict --progress-spinner off; then
  echo "vigil: no advisory is known for what requirements.lock names"
else
  echo "vigil: the audit failed: raise what it names in requirements.in and run \`make lock\` (what Amazon MWAA pins waits for its next version), or run it where pypi.org can be reached" >&2
  exit 1
fi

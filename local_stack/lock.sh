#!/usr/bin/env bash
# Choose versions anew: requirements.in, held to what Amazon MWAA pins, becomes requirements.lock.
# MWAA's constraints file for 3.3.1 is named by CONSTRAINTS; it is Apache Airflow's for Python 3.12.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${CONSTRAINTS:?set it to the file of constraints of Apache Airflow 3.3.1 for Python 3.12}"
held=$(mktemp)
trap 'rm -f "$held"' EXIT
# These two pins need Python 3.12; on 3.11 the newest that run there are taken.
grep -viE '^(numpy|scipy)==' "$CONSTRAINTS" > "$held"
grep -iE '^(numpy|scipy)==' "$CONSTRAINTS" | sed "s/\$/ ; python_version >= '3.12'/" >> "$held"
.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
  --python-version 3.11 --constraint "$held" requirements.in --output-file requirements.lock

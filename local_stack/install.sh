#!/usr/bin/env bash
# Create .venv from requirements.lock, without root. Does nothing when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-python3}"
UV_PIN=uv==0.13.8

stop() { echo "vigil: $*" >&2; exit 1; }

command -v "$PYTHON" >/dev/null || stop "$PYTHON is not on the PATH: install Python 3.11, 3.12 or 3.13 (Debian: apt install python3), or say PYTHON=/path/to/python"
"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  stop "$("$PYTHON" --version 2>&1) is not supported: install Python 3.11, 3.12 or 3.13, or say PYTHON=/path/to/python"

# An activated .venv may be about to go: what it was made from makes the next one.
case $(command -v "$PYTHON") in "$PWD"/.venv/*) PYTHON=$("$PYTHON" -c 'import sys; print(sys._base_executable)') ;; esac

wanted="$("$PYTHON" --version) $(sha256sum requirements.lock | cut -d' ' -f1)"
[ -x .venv/bin/python ] && [ "$(cat .venv/installed 2>/dev/null || true)" = "$wanted" ] && exit 0

# Debian's python3 has no ensurepip unless python3-venv is there: then pip's wheel comes from its package.
fetch_pip_wheel() {
  command -v apt-get >/dev/null || stop "this Python has neither ensurepip nor pip: install python3-venv"
  local box=$PWD/var/pip-wheel
  mkdir -p "$box/lists/partial" "$box/cache/archives/partial"
  local options=(-o "Dir::State::lists=$box/lists" -o "Dir::Cache=$box/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
  { apt-get "${options[@]}" update -qq && (cd "$box" && apt-get "${options[@]}" download -qq python3-pip-whl); } >&2 ||
    stop "could not download python3-pip-whl: install python3-venv"
  (cd "$box" && dpkg-deb -x python3-pip-whl_*.deb tree)
  echo "$box"/tree/usr/share/python-wheels/pip-*.whl
}

echo "vigil: installing the Python environment into .venv"
rm -rf .venv
if "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
  "$PYTHON" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$UV_PIN"
elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
  "$PYTHON" -m venv --without-pip .venv
  "$PYTHON" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check "$UV_PIN"
else
  wheel=$(fetch_pip_wheel)
  "$PYTHON" -m venv --without-pip .venv
  PYTHONPATH=$wheel .venv/bin/python -m pip install --quiet --disable-pip-version-check "$UV_PIN"
fi
.venv/bin/uv pip sync --quiet --python .venv/bin/python --no-build --require-hashes requirements.lock
# The project's own packages are importable from any folder, as plugins/ is on Amazon MWAA.
"$PYTHON" - <<'PY'
import pathlib
site = next(pathlib.Path(".venv/lib").glob("python3*/site-packages"))
root = pathlib.Path.cwd()
(site / "vigil-project.pth").write_text(f"{root / 'plugins'}\n{root}\n")
PY
echo "$wanted" > .venv/installed

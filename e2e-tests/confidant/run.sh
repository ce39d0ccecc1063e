#!/bin/sh
# run.sh [--pod FILE] [--container NAME]
# Makes the virtual environment when it is missing or older than requirements.txt, runs the tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${CONFIDANT_VENV:-/tmp/secret-injector-confidant-venv}
if [ ! -e "$venv/ready" ] || [ "$here/requirements.txt" -nt "$venv/ready" ]; then
  "${PYTHON:-python3.11}" -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
  : > "$venv/ready"
fi
export PYTHONDONTWRITEBYTECODE=1
"$venv/bin/python" "$here/test_write_env.py"
exec "$venv/bin/python" "$here/test_confidant.py" "$@"

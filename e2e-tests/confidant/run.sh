#!/bin/sh
# run.sh [POD SETTINGS]
# Lets the policy (policy.wasm, target/debug/secret-injector) mutate the Pod, and runs its init container against a real Confidant
# server; without arguments the Pods here and in the example. Makes the virtual environment when it is missing or older
# than requirements.txt.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${CONFIDANT_VENV:-/tmp/secret-injector-confidant-venv}
if [ ! -e "$venv/ready" ] || [ "$here/requirements.txt" -nt "$venv/ready" ]; then
  "${PYTHON:-python3.11}" -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
  : > "$venv/ready"
fi
export PYTHONDONTWRITEBYTECODE=1
if [ $# -eq 0 ]; then
  "$venv/bin/python" "$here/test_write_env.py"
  example=$root/e2e-tests/examples/confidant
  set -- "$here/pod.yaml" "$example/settings.yaml" "$example/pod.yaml" "$example/settings.yaml"
fi
mutated=$(mktemp)
trap 'rm -f "$mutated"' EXIT
while [ $# -ge 2 ]; do
  "$root/target/debug/secret-injector" preview "$1" --settings "$2" --wasm "$root/policy.wasm" -o yaml > "$mutated"
  "$venv/bin/python" "$here/test_confidant.py" "$mutated"
  shift 2
done

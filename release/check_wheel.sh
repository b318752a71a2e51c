#!/bin/sh
# Builds the wheel, installs it with the pinned dependencies into an empty environment outside the checkout, and runs
# `replay` there. `sh release/check_wheel.sh [PYTHON]`; takes minutes, most of them pip's.
set -eu
python=${1:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" "$root"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "$work"/dist/*.whl
"$work/venv/bin/pip" check
cp -r "$root/examples/payments-bad-deploy" "$work/example"
cd "$work"
env -i PATH="$work/venv/bin:/usr/bin:/bin" HOME="$work" incident-pipeline replay "$work/example" --json >"$work/replay.json"
"$work/venv/bin/python" - "$work/replay.json" <<'PYTHON'
import json, sys
answer = json.load(open(sys.argv[1]))
cause = answer["diagnosis"]["hypotheses"][0]
print(f"{answer['incident_id']}: {cause['description']} ({cause['confidence']:.0%}), {len(answer['assets'])} assets")
PYTHON

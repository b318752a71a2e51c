#!/bin/sh
# Writes the stores of this release as VERSION.tar.gz: one example incident, from alert to postmortem. Run it once for
# each release and never again for that release: what is kept here is what users of that release have on their disks.
set -eu
cd "$(dirname "$0")/../.."
version=$1
target="tests/stores/$version.tar.gz"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/data"
cp -r examples/payments-bad-deploy /tmp/payments-bad-deploy
.venv/bin/incident-pipeline replay /tmp/payments-bad-deploy --resolve --data-dir "$folder/data" >/dev/null
rm -rf /tmp/payments-bad-deploy "$folder"/data/knowledge_base.duckdb*
.venv/bin/incident-pipeline backup "$target" --data-dir "$folder/data"

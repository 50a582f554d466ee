#!/usr/bin/env bash
# Labels texts again in a real Label Studio: policy, plan, start, tasks answered by two people
# through its API, import, report, merge.
#
#   scripts/nightly-label-studio.sh [--record]
#
# Installs label-studio (about 1 GB) into a venv, and starts it on 127.0.0.1:18080 with a data
# folder of its own. With --record, what its API returned takes the place of the record in
# tests/data/label-studio-relabel/, which the tests replay; else it goes with the run.
#
# GLOSS names the binary, target/release/gloss by default. WORK keeps what was installed.
set -euo pipefail
cd "$(dirname "$0")/.."
gloss=$(realpath "${GLOSS:-target/release/gloss}")
work=$(realpath -m "${WORK:-target/nightly-label-studio}")
inputs=$PWD/tests/data/label-studio-relabel
first=$PWD/tests/data/label-studio-live/text
round=$PWD/scripts/label_studio_round.py
url=http://127.0.0.1:18080
mkdir -p "$work"
here=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$here"
}
trap stop EXIT
record=$here/record
[ "${1:-}" != --record ] || record=$inputs
export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=n@example.com
export GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=n@example.com

if [ ! -x "$work/venv/bin/label-studio" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet label-studio==1.23.2
fi
# A word of this run alone: whoever else is on the machine cannot ask the server anything.
token=$(head -c 20 /dev/urandom | od -An -tx1 | tr -d ' \n')
export LATEST_VERSION_CHECK=false COLLECT_ANALYTICS=false LABEL_STUDIO_BASE_DATA_DIR=$here/data
"$work/venv/bin/label-studio" start --no-browser --internal-host 127.0.0.1 --port 18080 \
    --username admin@example.com --password 'Passw0rd!x' --user-token "$token" \
    --enable-legacy-api-token --log-level WARNING </dev/null >"$here/server.log" 2>&1 &
server=$!

cd "$here"
"$gloss" init store >/dev/null
cd store
"$gloss" policy import reading "$first/config.xml"
"$gloss" import "$first/export/JSON.json" -m "first round"
"$gloss" policy attach reading@1
"$gloss" policy add reading --file "$inputs/policy.toml" --config "$inputs/config.xml"
"$gloss" relabel plan --to reading@2
"$gloss" relabel start --to reading@2 --assign-by stratified --among 2,3 --overlap 2 -o tasks.json

for left in $(seq 300 -1 0); do
    curl -sf -m 2 "$url/health" >/dev/null && break
    kill -0 "$server" 2>/dev/null && [ "$left" -gt 0 ] || {
        tail -20 "$here/server.log"
        exit 1
    }
    sleep 1
done
python3 "$round" "$url" "$token" "$inputs/config.xml" tasks.json "$record"

"$gloss" relabel import "$record/half.json"
"$gloss" relabel status
if "$gloss" relabel finish; then
    echo "HALF OF THE ANSWERS WERE ENOUGH"
    exit 1
fi
"$gloss" relabel import "$record/answers.json"
"$gloss" relabel status
"$gloss" relabel report
"$gloss" relabel finish
"$gloss" relabel plan --to reading@2
"$gloss" verify

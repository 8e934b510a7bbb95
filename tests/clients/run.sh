#!/usr/bin/env bash
# Real clients against the real binary: the PyPI client `mcp`, the inspector from npm, and the official conformance
# suite.
# usage: tests/clients/run.sh [BIN]     without BIN: target/debug/skillhost, else target/release/skillhost
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
here=$repo/tests/clients
bin=${1:-$repo/target/debug/skillhost}
[ $# -gt 0 ] || [ -x "$bin" ] || bin=$repo/target/release/skillhost
[ -x "$bin" ] || { echo "no binary at $bin: cargo build first" >&2; exit 2; }
tools=$repo/target/clients
report=$repo/target/ci/clients.xml
mkdir -p "$tools" "$(dirname "$report")"
# Reports of an earlier run must not stand for this one.
rm -f "$(dirname "$report")"/clients*.xml

# Installed once for each version of what is wanted, and for each place: a venv cannot be moved.
wanted=$({ echo "$tools"; cat "$here/requirements.txt" "$here/package-lock.json"; } | sha256sum)
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$wanted" ]; then
    echo "installing the clients"
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    npm ci --prefix "$tools" --silent --no-audit --no-fund
    echo "$wanted" >"$tools/installed"
fi
node=$tools/node_modules/node/bin/node
inspector=$tools/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js
suite=$tools/node_modules/@modelcontextprotocol/conformance/dist/index.js

state=$(mktemp -d) server=
trap 'kill $server 2>/dev/null || true; rm -rf "$state"' EXIT

echo "== the PyPI client"
python=0
"$tools/venv/bin/python" "$here/mcp_client.py" "$bin" "$repo" "$state/python.xml" "$state/data" | tee "$state/python.log" || python=$?
read -r passed failed < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$state/python.log" | tail -n 1) ||
    passed=0 failed=1
[ "$python" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1

echo "== the inspector"
inspected=0
"$tools/venv/bin/python" "$here/inspector.py" "$node" "$inspector" "$bin" "$repo" "$state/inspector.xml" "$state/data" |
    tee "$state/inspector.log" || inspected=$?
read -r looked missed < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$state/inspector.log" | tail -n 1) ||
    looked=0 missed=1
[ "$inspected" -eq 0 ] || [ "$missed" -gt 0 ] || missed=1

echo "== the official conformance suite: scenarios that need no fixtures"
touch "$state/skillhost.toml" # an empty one, so that no file in the current folder counts
"$bin" serve --listen 127.0.0.1:0 --skills "$repo/plugins/dist" --data "$state/data" \
    --config "$state/skillhost.toml" 2>"$state/log" &
server=$!
url=
for _ in $(seq 100); do
    url=$(sed -n '/"message":"listening"/s/.*"url":"\([^"]*\)".*/\1/p' "$state/log")
    [ -n "$url" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1 # until the server listens; it has ten seconds
done
[ -n "$url" ] || { echo "the server does not listen"; cat "$state/log"; }

conformed=0 broke=0 cases=
scenario() { # name, revision
    local log=$state/$1-$2.log why
    # The suite also exits 0 when it skipped the scenario, when it checked nothing, and when it only warns; the
    # order of tools and the code of a refused header are warnings to it. All of that is a failure here.
    if "$node" "$suite" server --url "$url" --scenario "$1" --spec-version "$2" >"$log" 2>&1 &&
        grep -Eq '^Passed: ([1-9][0-9]*)/\1, 0 failed, 0 warnings$' "$log"; then
        conformed=$((conformed + 1))
        echo "ok   $1 $2 ($(sed -n 's/^Passed: \([0-9/]*\).*/\1/p' "$log") checks)"
        cases+="<testcase name=\"$1 $2\"/>"
    else
        broke=$((broke + 1))
        echo "FAIL $1 $2"
        cat "$log"
        why=$(grep -aE 'FAILURE|WARNING|SKIPPED|Error' "$log" | head -n 5 | sed 's/\x1b\[[0-9;]*m//g' |
            tr -cd '\11\12\40-\176' | sed 's/&/\&amp;/g; s/</\&lt;/g; s/"/\&quot;/g') || true
        cases+="<testcase name=\"$1 $2\"><failure message=\"$why\"/></testcase>"
    fi
}
for revision in 2025-11-25 2026-07-28; do
    for name in tools-list dns-rebinding-protection server-sse-multiple-streams; do
        scenario "$name" "$revision"
    done
done
scenario http-header-validation 2026-07-28
scenario server-initialize 2025-11-25
scenario ping 2025-11-25

{
    echo "<testsuites>"
    cat "$state/python.xml" 2>/dev/null ||
        echo '<testsuite name="clients.python" tests="1" failures="1"><testcase name="all"><failure message="no report"/></testcase></testsuite>'
    cat "$state/inspector.xml" 2>/dev/null ||
        echo '<testsuite name="clients.inspector" tests="1" failures="1"><testcase name="all"><failure message="no report"/></testcase></testsuite>'
    echo "<testsuite name=\"clients.conformance\" tests=\"$((conformed + broke))\" failures=\"$broke\">$cases</testsuite>"
    echo "</testsuites>"
} >"$report"
echo "$((passed + looked + conformed)) passed, $((failed + missed + broke)) failed"
[ $((failed + missed + broke)) -eq 0 ]

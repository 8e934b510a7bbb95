#!/usr/bin/env bash
# Real clients against the real binary: the PyPI client `mcp`, and the official conformance suite.
# usage: tests/clients/run.sh [BIN]
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
here=$repo/tests/clients
bin=${1:-$repo/target/debug/skillhost}
tools=$repo/target/clients
reports=$repo/target/ci
mkdir -p "$tools" "$reports"

# Installed once for each version of what is wanted.
wanted=$(cat "$here/requirements.txt" "$here/package-lock.json" | sha256sum)
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$wanted" ]; then
    echo "installing the clients"
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    npm ci --prefix "$tools" --silent --no-audit --no-fund
    echo "$wanted" >"$tools/installed"
fi
node=$tools/node_modules/node/bin/node

echo "== the PyPI client"
python=0
"$tools/venv/bin/python" "$here/mcp_client.py" "$bin" "$repo" "$reports/clients-python.xml" || python=$?

echo "== the official conformance suite: scenarios that need no fixtures"
state=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$state"' EXIT
"$bin" serve --listen 127.0.0.1:0 --skills "$repo/plugins/dist" --data "$state/data" 2>"$state/log" &
server=$!
url=
for _ in $(seq 100); do
    url=$(sed -n 's/.*"message":"listening".*"url":"\([^"]*\)".*/\1/p' "$state/log")
    [ -n "$url" ] && break
    kill -0 "$server" || { cat "$state/log"; exit 1; }
    sleep 0.1 # until the server listens; it has ten seconds
done
[ -n "$url" ] || { echo "the server does not listen"; cat "$state/log"; exit 1; }

passed=0 failed=0 cases=
scenario() { # name, specification
    local log=$state/$1-$2.log
    if "$node" "$tools/node_modules/@modelcontextprotocol/conformance/dist/index.js" server \
        --url "$url" --scenario "$1" --spec-version "$2" >"$log" 2>&1 && grep -q '^Passed: .* 0 failed' "$log"; then
        passed=$((passed + 1))
        echo "ok   $1 $2 ($(sed -n 's/^Passed: \([0-9/]*\).*/\1/p' "$log") checks)"
        cases+="<testcase name=\"$1 $2\"/>"
    else
        failed=$((failed + 1))
        echo "FAIL $1 $2"
        cat "$log"
        cases+="<testcase name=\"$1 $2\"><failure message=\"see the log\"/></testcase>"
    fi
}
for spec in 2025-11-25 2026-07-28; do
    for name in tools-list dns-rebinding-protection server-sse-multiple-streams; do
        scenario "$name" "$spec"
    done
done
scenario http-header-validation 2026-07-28
scenario server-initialize 2025-11-25
scenario ping 2025-11-25
echo "<testsuite name=\"clients.conformance\" tests=\"$((passed + failed))\" failures=\"$failed\">$cases</testsuite>" \
    >"$reports/clients-conformance.xml"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$python" -eq 0 ]

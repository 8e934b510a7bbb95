#!/usr/bin/env bash
# Real clients against the real binary: the PyPI client `mcp`, the npm client with its extension for tasks, the inspector
# from npm, and the official conformance suite.
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

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT

passed=0 failed=0
drive() { # its name in the report, what it is, its command; it gets BIN REPO JUNIT.xml DATA
    local name=$1 log=$state/$1.log code=0 well ill
    echo "== $2"
    "${@:3}" "$bin" "$repo" "$state/$name.xml" "$state/data" | tee "$log" || code=$?
    read -r well ill < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1) || well=0 ill=1
    [ "$code" -eq 0 ] || [ "$ill" -gt 0 ] || ill=1
    if [ ! -s "$state/$name.xml" ]; then
        echo "<testsuite name=\"clients.$name\" tests=\"1\" failures=\"1\"><testcase name=\"all\">" \
            "<failure message=\"no report\"/></testcase></testsuite>" >"$state/$name.xml"
        ill=$((ill > 0 ? ill : 1))
    fi
    passed=$((passed + well)) failed=$((failed + ill))
}

drive python "the PyPI client: tools, calls and sagas" "$tools/venv/bin/python" "$here/mcp_client.py"
drive features "the PyPI client: all else that a skill can offer" "$tools/venv/bin/python" "$here/features.py"
drive schemas "schemas, by a second validator" "$tools/venv/bin/python" "$here/schemas.py"
# Copied to where its packages are: an ES module looks for them beside itself.
cp "$here/features.mjs" "$tools/"
drive npm "the npm client" "$node" "$tools/features.mjs"
drive inspector "the inspector" "$tools/venv/bin/python" "$here/inspector.py" "$node" "$inspector"
drive conformance "the official conformance suite" "$tools/venv/bin/python" "$here/conformance.py" "$node" "$suite"

{
    echo "<testsuites>"
    cat "$state"/*.xml
    echo "</testsuites>"
} >"$report"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

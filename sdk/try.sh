#!/usr/bin/env bash
# sdk/try.sh HOST SKILLS LANGUAGE…: what a new user does, in a clean folder, for each language: new, the tools it names, its own tests,
# the component's, a build and a call. Then the same project gets the source of tests/languages, and its component goes to the folder
# SKILLS, for tests/e2e/languages.rs. The last lines are a table; a language whose tools cannot be had is in it.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
host=$(realpath "$1")
mkdir -p "$2"
skills=$(realpath "$2")
shift 2
folder=$(mktemp -d)
# Go keeps its modules read-only.
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
failed=0 table=

# The tools of a language, and the project's own tests.
prepare() {
    case $1 in
        js | ts) npm install --silent --no-audit --no-fund && npm test --silent >/dev/null ;;
        python)
            python3 -m venv .venv
            .venv/bin/pip install --quiet --disable-pip-version-check componentize-py==0.25.1
            .venv/bin/python -m unittest -q
            ;;
        go) go test . ;;
        c | cpp) make --silent test ;;
        rust) cargo test --quiet ;;
    esac
}

# With one folder for compiled code.
host() { "$host" --data "$folder/data" "$@"; }

try() (
    host new "hello-$1" --lang "$1" >/dev/null
    cd "hello-$1"
    prepare "$1"
    host build --out ../skills >/dev/null
    # Python's compiler makes another component each time, whose code takes half a minute to compile.
    if [ "$1" = python ]; then host test ../skills/hello-python.wasm --cases tests; else host test; fi
    if grep -q "$folder" "../skills/hello-$1.wasm"; then
        echo "a path of this machine is in it"
        exit 1
    fi
    [ "$(host --skills ../skills call "hello-$1_greet" --args '{"name": "🧀"}' | grep -c 'Hello, 🧀!')" = 1 ]
    # Rust's is one of tests/skills.
    [ "$1" != rust ] || return 0
    rm -rf tests ./*test* && cp "$repo/tests/languages/$1"/* .
    host build --out "$skills/behaves-$1.wasm" >/dev/null
)

for language in "$@"; do
    echo "== $language"
    # Not in a condition: there `set -e` would be forgotten.
    set +e
    (set -e && try "$language")
    code=$?
    set -e
    if [ "$code" = 0 ]; then
        table+=$(printf '%-8s ok     %s bytes' "$language" "$(stat -c %s "skills/hello-$language.wasm")")$'\n'
    else
        failed=1 table+="$language     FAILED"$'\n'
    fi
done
printf '\n%s' "$table"
exit "$failed"

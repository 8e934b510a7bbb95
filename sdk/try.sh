#!/usr/bin/env bash
# sdk/try.sh HOST LANGUAGE…: what a new user does, in a clean folder, for each language: new, the tools it names, its own tests, and
# the component's. The last lines are a table.
set -euo pipefail
host=$(realpath "$1")
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
failed=0 table=
for language in "$@"; do
    echo "== $language"
    "$host" new "hello-$language" --lang "$language" >/dev/null
    if (
        cd "hello-$language"
        case $language in
        js | ts) npm install --silent --no-audit --no-fund && npm test --silent >/dev/null ;;
        python)
            python3 -m venv .venv
            .venv/bin/pip install --quiet componentize-py==0.25.1
            .venv/bin/python -m unittest -q
            ;;
        esac
        "$host" test && "$host" build --out ../skills >/dev/null
        # A path of this machine has no place in it.
        ! grep -q "$folder" "../skills/hello-$language.wasm"
        [ "$("$host" --skills ../skills --data ../data call "hello-${language}_greet" --args '{"name": "🧀"}' | grep -c 'Hello, 🧀!')" = 1 ]
    ); then
        table+=$(printf '%-8s ok     %s bytes' "$language" "$(stat -c %s "skills/hello-$language.wasm")")$'\n'
    else
        failed=1 table+="$language     FAILED"$'\n'
    fi
done
printf '\n%s' "$table"
exit "$failed"

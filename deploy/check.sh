#!/usr/bin/env bash
# Checks everything in deploy/ and what docs/operations.md owes it. Needs python3 (3.11 or newer), and Debian's package lists or a
# promtool; the rest it installs under target/tools, once. Says what it could not run.
#
#   deploy/check.sh            check
#   deploy/check.sh --update   first write anew what is made from other files
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tools
here=deploy/check
made=target/deploy
mkdir -p "$tools" "$made"
failed=()
not_run=()

# Run on after a failure: all that is wrong is told at once.
check() {
    local name=$1
    shift
    if "$@" >"$made/log" 2>&1; then
        printf 'ok      %s\n' "$name"
        grep -E '^  ([0-9]+ |not checked)' "$made/log" || true
    else
        printf 'FAILED  %s\n' "$name"
        sed 's/^/        /' "$made/log"
        failed+=("$name")
    fi
}

# Python's tools, in an environment of their own that is made anew when they change.
venv=$tools/deploy
stamp=$(python3 --version | cat - "$here/requirements.txt" | sha256sum)
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    printf '%s\n' "$stamp" >"$venv/stamp"
fi
python=$venv/bin/python
export PYTHONDONTWRITEBYTECODE=1

# promtool out of Debian's package: installing that would start a server.
promtool=$(command -v promtool || true)
if [ -z "$promtool" ]; then
    promtool=$tools/prometheus/usr/bin/promtool
    if [ ! -x "$promtool" ]; then
        package=$(mktemp -d)
        chmod 755 "$package"
        (cd "$package" && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; }) >&2
        rm -rf "$tools/prometheus"
        dpkg -x "$package"/prometheus_*.deb "$tools/prometheus"
        rm -rf "$package"
    fi
fi

check "YAML" "$venv/bin/yamllint" --strict -c "$here/yamllint.yaml" deploy
check "alert rules, dashboard and guide agree" "$python" "$here/rules.py" "$@"
check "promtool: rules" "$promtool" check rules deploy/prometheus/rules.yml
check "promtool: tests of the rules" "$promtool" test rules deploy/prometheus/rules_test.yml
check "promtool: Prometheus' configuration" "$promtool" check config deploy/prometheus/prometheus.yml
check "promtool: queries of the dashboard" "$promtool" check rules --lint=none "$made/dashboard-rules.yml"
check "Grafana's types: the dashboard" "$python" "$here/dashboard.py"
check "hadolint: Dockerfile" "$venv/bin/hadolint" deploy/Dockerfile
check "compose specification: compose.yaml" "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml
check "manifests agree with each other" "$python" "$here/manifests.py"

objects=(deploy/kubernetes/*.yaml)
objects=("${objects[@]/*kustomization.yaml/}")
# shellcheck disable=SC2068 # the emptied one is to go
check "kubernetes-validate: manifests" "$venv/bin/kubernetes-validate" --strict ${objects[@]}
if command -v kubectl >/dev/null; then
    whole() { kubectl kustomize deploy/kubernetes >"$made/kubernetes.yaml" && "$venv/bin/kubernetes-validate" --strict "$made/kubernetes.yaml"; }
    check "kustomize: what is applied" whole
    # Kinds of the Prometheus operator: no schema of them here. The rules in them are those that promtool has checked.
    check "kustomize: monitoring" kubectl kustomize deploy/kubernetes/monitoring
else
    not_run+=("kustomize: there is no kubectl")
fi

if command -v systemd-analyze >/dev/null; then
    # The binary is not where the unit wants it.
    sed 's,^ExecStart=[^ ]*,ExecStart=/bin/true,' deploy/systemd/skillhost.service >"$made/skillhost.service"
    unit() {
        # Unknown keys are only warned of.
        local told
        told=$(systemd-analyze verify "$made/skillhost.service" 2>&1 | grep -F "$made/skillhost.service" || true)
        [ -z "$told" ] || { echo "$told"; return 1; }
        systemd-analyze verify "$made/skillhost.service"
    }
    check "systemd-analyze verify: skillhost.service" unit
    if systemd-analyze security --help 2>/dev/null | grep -q -- --offline; then
        # In tenths: 1.4 as it stands, 9.6 for a service without any of it.
        check "systemd-analyze security: skillhost.service" \
            systemd-analyze security --no-pager --offline=true --threshold=20 "$made/skillhost.service"
    else
        not_run+=("systemd-analyze security: this one knows no --offline")
    fi
else
    not_run+=("systemd-analyze: it is not here")
fi

if docker compose version >/dev/null 2>&1; then
    check "docker compose config" env GRAFANA_ADMIN_PASSWORD=x docker compose -f deploy/compose.yaml config --quiet
    refused() { ! env -u GRAFANA_ADMIN_PASSWORD docker compose -f deploy/compose.yaml config --quiet; }
    check "docker compose asks for a password" refused
else
    not_run+=("docker compose config: this client does not have it; the specification's schema was held against the file")
fi
not_run+=("docker build, otelcol validate, Grafana itself: they need an engine, or images that cannot be had here")

for name in "${not_run[@]}"; do
    printf 'not run %s\n' "$name"
done
if [ ${#failed[@]} -gt 0 ]; then
    printf '%s checks failed\n' "${#failed[@]}"
    exit 1
fi

#!/usr/bin/env bash
# Builds the sample skills and the skills of the tests, as components.
#
#   plugins/build.sh              into plugins/dist and tests/skills/dist, with manifests of inputs and outputs
#   plugins/build.sh --out DIR    into DIR, from the committed Cargo.lock, leaving the rest alone
#
# Uses the target wasm32-wasip2 where the Rust toolchain has it (`rustup target add wasm32-wasip2`). Otherwise it
# takes Debian's compiler and library source, builds for wasm32-wasip1, and lifts the result with plugins/lift.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
out=
locked=()
case "${1-}" in
    "") ;;
    --out)
        [ $# -eq 2 ] || { echo "usage: $0 [--out DIR]" >&2; exit 2; }
        mkdir -p "$2"
        out=$(cd "$2" && pwd -P)
        locked=(--locked)
        ;;
    *) echo "usage: $0 [--out DIR]" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

# One target directory for both workspaces: the standard library and the SDK are built once.
export CARGO_TARGET_DIR=$repo/plugins/target
cargo_home=${CARGO_HOME:-$HOME/.cargo}

# ---- The toolchain ------------------------------------------------------------------------------------------

packages=(rustc-web rust-web-src cargo-web lld-19 wasi-libc)

# Cargo reads rust-toolchain.toml from the current folder upwards.
cd "$repo/plugins"

has_wasip2() {
    local libraries
    libraries=$(rustc --print target-libdir --target wasm32-wasip2 2>/dev/null) && [ -d "$libraries" ]
}

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        say "To build skills, either add the target to the toolchain:  rustup target add wasm32-wasip2"
        say "or install Debian's packages:  apt-get install --no-install-recommends ${missing[*]}"
        exit 1
    fi
    say "installing ${missing[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# What the compiler writes into panic messages must not tell about this machine.
flags=(
    "--remap-path-prefix=$repo=/skillhost"
    "--remap-path-prefix=$cargo_home=/cargo"
    # As `skillhost build` has it: a guest whose memory does not grow in a call is faster.
    -Clink-arg=--initial-heap=1048576
)

if has_wasip2; then
    target=wasm32-wasip2
    cargo=cargo
    build_std=()
elif command -v dpkg-query >/dev/null; then
    install_packages
    target=wasm32-wasip1
    cargo=/usr/bin/cargo
    build_std=(-Zbuild-std=std,panic_abort)
    # Debian's compiler has no library for WebAssembly but the source of one, and `-Zbuild-std` is unstable.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-19
    flags+=(
        "--remap-path-prefix=$("$RUSTC" --print sysroot)=/rust"
        -Clink-self-contained=no
        -Clinker-flavor=wasm-ld
        "-Lnative=/usr/lib/wasm32-wasi"
        # As wasm32-wasip2 has it: constructors run once, when the component is instantiated.
        -Clink-arg=/usr/lib/wasm32-wasi/crt1-reactor.o
        -Clink-arg=--export=_initialize
    )
else
    say "To build skills, add the target to the toolchain:  rustup target add wasm32-wasip2"
    exit 1
fi

# ---- Building -----------------------------------------------------------------------------------------------

lift() { "$CARGO_TARGET_DIR/debug/lift" "$@"; }

# Where a component goes below its folder: fixtures are not for the people who run the samples.
placed() {
    case $1 in
        conformance) echo "fixtures/$1.wasm" ;;
        *) echo "$1.wasm" ;;
    esac
}

# build FOLDER SKILL...: the skills of the workspace in FOLDER.
build() {
    local folder=$1
    shift
    (
        cd "$repo/$folder"
        # The encoded form, parted by 0x1f, since paths may have blanks.
        CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; printf '%s' "${flags[*]}")
        export CARGO_ENCODED_RUSTFLAGS
        "$cargo" build --quiet --release --target "$target" "${build_std[@]}" "${locked[@]}" "${@/#/--package=}"
    )
    local destination=${out:-$repo/$folder/dist} skill built component
    for skill in "$@"; do
        built=$CARGO_TARGET_DIR/$target/release/$skill.wasm
        component=$destination/$(placed "$skill")
        mkdir -p "$(dirname "$component")"
        # By way of another name: nobody sees half a component, a host that watches the folder least of all.
        if [ "$target" = wasm32-wasip2 ]; then
            lift --check "$built"
            cp "$built" "$component.new"
        else
            lift "$built" "$component.new"
        fi
        mv "$component.new" "$component"
        say "$(printf '%8d bytes  %s' "$(wc -c <"$component")" "${component#"$repo"/}")"
    done
    if [ -z "$out" ]; then
        manifests "$folder" "$@"
    fi
}

# ---- Manifests: a test compares them with what is there -----------------------------------------------------

# All that a component is made of. tests/e2e/dist.rs has the same rule.
inputs() {
    find "$1" sdk/rust wit \
        \( -name target -o -name dist -o -name tests -o -path plugins/lift \) -prune -o \
        -type f \( -name '*.rs' -o -name '*.toml' -o -name '*.lock' -o -name '*.wit' \) -print0 |
        LC_ALL=C sort -z
}

manifests() {
    local folder=$1
    shift
    (cd "$repo" && inputs "$folder" | xargs -0 sha256sum) >"$repo/$folder/dist/inputs.sha256"
    local skill
    (cd "$repo" && for skill in "$@"; do printf '%s\0' "$folder/dist/$(placed "$skill")"; done |
        LC_ALL=C sort -z | xargs -0 sha256sum) >"$repo/$folder/dist/outputs.sha256"
}

"$cargo" build --quiet --package lift "${locked[@]}"
build plugins text json files fetch notes release conformance
build tests/skills behaves bench faulty handler ledger plain whole

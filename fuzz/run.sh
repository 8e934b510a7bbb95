#!/usr/bin/env bash
# fuzz/run.sh SECONDS: load and describe whatever bytes there are, for so long. Needs no nightly compiler and no cargo-fuzz.
#
# SKILLHOST_FUZZ_SEED makes it begin with the seeds alone, and go the same way each time; without it what was found stays for
# the next time, in target/fuzz/corpus. What fails is left in target/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?usage: fuzz/run.sh SECONDS}
target=$PWD/../target
# Into the folder of the tests, whose dependencies it takes: the same versions, features and profile.
RUSTC_WRAPPER=$PWD/rustc.sh cargo build --locked --target-dir "$target"
seed=$((${SKILLHOST_FUZZ_SEED:-0}))
if [ "$seed" != 0 ]; then rm -rf "$target/fuzz/corpus"; fi
mkdir -p "$target/fuzz/corpus" "$target/fuzz/artifacts"
# Each load compiles: one that takes seconds is a hang, on a busy machine too after 20.
"$target/debug/load" "$target/fuzz/corpus" seeds/load -dict=load.dict -seed="$seed" -max_total_time="$seconds" -max_len=8192 \
    -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$target/fuzz/artifacts/" -print_final_stats=1

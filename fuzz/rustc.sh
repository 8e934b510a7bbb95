#!/bin/sh
# Cargo's RUSTC_WRAPPER: what libFuzzer needs to see where it comes to, in our own crates. All others stay as the tests built them,
# and what they do is not what is looked for.
case " $* " in
*" --crate-name skillhost_"* | *" --crate-name load "*)
    exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0
    ;;
esac
exec "$@"

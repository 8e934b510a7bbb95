# Recipes for people; `.ci/run` is what decides.

# Serve the sample skills at http://127.0.0.1:8000/mcp
run:
    cargo run --release -- serve

# What the README promises
test:
    cargo test --workspace

# Formatting, clippy without warnings, licences, sources and advisories (cargo install --locked cargo-deny)
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check

# Rebuild the sample skills into plugins/dist and tests/skills/dist
plugins:
    plugins/build.sh

# What policies, the pipeline, and the pipeline on top of the engine cost, side by side in one run
bench:
    cargo bench -p skillhost-policy -p skillhost-journal -p skillhost-pipeline -p skillhost-e2e

# Every interleaving of the policies' atomics and locks
loom:
    RUSTFLAGS="--cfg skillhost_loom" cargo test -p skillhost-policy --test loom --target-dir target/loom

# The same tests, longer: a hundred times the calls beside looping guests, millions of steps of each state machine, a thousand
# kills; a new project in Rust, whose standard library is built first; ten minutes of fuzzed messages over each transport, and 500 clients that listen while skills are swapped
nightly:
    SKILLHOST_NIGHTLY=1 cargo test --release -p skillhost-policy -p skillhost-journal -p skillhost-pipeline
    SKILLHOST_NIGHTLY=1 cargo test --release --workspace --test e2e
    SKILLHOST_FUZZ_SECONDS=600 cargo test --release --workspace --test e2e fuzz:: -- --nocapture
    fuzz/run.sh 600
    sdk/try.sh target/release/skillhost target/ci/languages rust
    SKILLHOST_CHURN=full cargo test --release --workspace --test e2e churn:: -- --nocapture

# Everything that CI does
ci:
    bash .ci/run

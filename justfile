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

# What the host costs, side by side in one run; `just bench --help`, docs/benchmarks
bench *args:
    cargo build --release --workspace --bin skillhost --bench suite
    cargo bench --workspace --bench suite -- {{args}}

# Instructions of a call against those that are written down; valgrind must be there
counted:
    SKILLHOST_COUNT=1 cargo test --workspace --test counted

# Every interleaving of the policies' atomics and locks
loom:
    RUSTFLAGS="--cfg skillhost_loom" cargo test -p skillhost-policy --test loom --target-dir target/loom

# The same tests, longer: a hundred times the calls beside looping guests, millions of steps of each state machine, a thousand
# kills; the sample skills from source, and the tests on them; a new project in Rust, whose standard library is built first; ten minutes of fuzzed messages over each transport, and 500 clients that listen while skills are swapped
nightly:
    SKILLHOST_NIGHTLY=1 cargo test --release -p skillhost-policy -p skillhost-journal -p skillhost-pipeline
    SKILLHOST_NIGHTLY=1 cargo test --release --workspace --test e2e
    SKILLHOST_FUZZ_SECONDS=600 cargo test --release --workspace --test e2e fuzz:: -- --nocapture
    fuzz/run.sh 600
    plugins/build.sh --out target/ci/components
    cat plugins/dist/outputs.sha256 tests/skills/dist/outputs.sha256 | sed -E 's#(plugins|tests/skills)/dist/##' > target/ci/components/sums
    cd target/ci/components && (sha256sum --check --strict --quiet sums || echo "another compiler than the one that built what is committed")
    SKILLHOST_COMPONENTS=$PWD/target/ci/components cargo test --release --workspace --test e2e
    sdk/try.sh target/release/skillhost target/ci/languages rust
    SKILLHOST_CHURN=full cargo test --release --workspace --test e2e churn:: -- --nocapture

# Everything that CI does
ci:
    bash .ci/run

//! End-to-end tests: the real binary, real components, one file a behaviour.

mod command_line;
mod crash;
mod dead_letters;
mod directory;
mod dist;
mod grants;
mod hostile_calls;
mod hostile_files;
mod http;
mod load;
mod matrix;
mod plugins;
mod policies;
mod protocol;
mod recovery;
mod sandbox;
mod syncs;

/// Compiled code, shared between tests and runs.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/e2e-data");

fn samples() -> skillhost_e2e::Host {
    skillhost_e2e::Host::with_samples(CACHE)
}

fn empty() -> skillhost_e2e::Host {
    skillhost_e2e::Host::new(CACHE)
}

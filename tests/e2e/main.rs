//! End-to-end tests: the real binary, real components, one file a behaviour.

mod asking;
mod asking_older;
mod asking_sealed;
mod auth;
mod building;
mod building_stopped;
mod cases;
mod churn;
mod command_line;
mod crash;
mod dead_letters;
mod direct;
mod directory;
mod dist;
mod features;
mod features_hostile;
mod fuzz;
mod grants;
mod health;
mod hostile_calls;
mod hostile_files;
mod http;
mod languages;
mod ledger;
mod listening;
mod listening_filter;
mod load;
mod log_lines;
mod logs;
mod matrix;
mod metrics;
mod mutated;
mod plain;
mod playbooks;
mod playbooks_asked;
mod playbooks_crash;
mod plugins;
mod policies;
mod protocol;
mod recovery;
mod release;
mod reuse;
mod sagas;
mod sagas_ends;
mod sandbox;
mod search;
mod shutdown;
mod sourcing;
mod syncs;
mod tasks;
mod tasks_crash;
mod tasks_durable;
mod tls;
mod traces;
mod undo;
mod undo_crash;
mod undo_failures;
mod undo_nested;
mod undo_others;
mod undo_trouble;
mod undo_versions;

/// Compiled code, shared between tests and runs.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/e2e-data");

fn samples() -> skillhost_e2e::Host {
    skillhost_e2e::Host::with_samples(CACHE)
}

fn empty() -> skillhost_e2e::Host {
    skillhost_e2e::Host::new(CACHE)
}

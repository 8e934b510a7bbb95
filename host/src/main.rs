//! skillhost: runs WebAssembly skills and offers their tools over MCP.

mod app;
mod cli;
mod config;
#[cfg(debug_assertions)]
mod fault;
mod health;
mod reload;
mod shutdown;
mod transport;

use std::process::ExitCode;

use clap::Parser as _;

/// A call makes some hundred small allocations, half of them in libraries: with the C library's allocator they are an eighth of what
/// it costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let code = cli::run(cli::Cli::parse());
    // Whoever reads the log may have stopped to.
    skillhost_telemetry::flush(std::time::Duration::from_secs(1));
    code
}

//! `skillhost compile-one`, which the host runs in a child process.

use std::{io, process::ExitCode};

use clap::Args;
use skillhost_engine::Metering;

#[derive(Debug, Args)]
pub(super) struct CompileOne {
    /// Bytes the process may allocate
    #[arg(long)]
    memory: u64,
    /// Seconds it may compute, a core
    #[arg(long)]
    seconds: u64,
    /// Whether the code counts no fuel
    #[arg(long)]
    unmetered: bool,
}

impl CompileOne {
    pub(super) fn run(self) -> ExitCode {
        let code = skillhost_engine::compile_one(
            self.memory,
            self.seconds,
            if self.unmetered { Metering::Time } else { Metering::Fuel },
            io::stdin().lock(),
            io::stdout().lock(),
            io::stderr().lock(),
        );
        ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
    }
}

//! `skillhost wit`

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use skillhost_build::contract;

use super::out;

#[derive(Debug, Args)]
#[command(after_help = "\
  skillhost wit                                        the contract of skills, as one document
  skillhost wit --out wit                              its files, for `wit-bindgen`, `jco` or `componentize-py`
  skillhost wit hello.wasm                             what a component imports and exports")]
pub(super) struct Wit {
    /// A component, or a folder of WIT [default: the contract between skills and this host]
    #[arg(value_name = "FILE|DIR", conflicts_with = "out")]
    what: Option<PathBuf>,
    /// Write the contract's files into this folder
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write over files there that say something else
    #[arg(long, requires = "out")]
    force: bool,
}

impl Wit {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match (self.what, self.out) {
            (_, Some(folder)) => contract::write(&folder, self.force)?,
            (Some(what), None) => out::text(&out::harmless(&contract::of(&what)?))?,
            (None, None) => out::text(&contract::document()?)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

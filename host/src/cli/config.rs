//! `skillhost config`

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Common, out};

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
    /// Address that `serve` would listen on
    #[arg(
        long,
        global = true,
        env = "SKILLHOST_LISTEN",
        hide_env_values = true,
        value_name = "ADDRESS:PORT"
    )]
    listen: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration and say what is wrong with it
    Check,
    /// Print the configuration as it counts, every default written out
    Show {
        /// Print JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
}

impl Config {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let mut raw = common.raw()?;
        if self.listen.is_some() {
            raw.server.listen = self.listen;
        }
        raw.clone().check()?;
        match self.command {
            Command::Check => out::text("the configuration is sound\n")?,
            Command::Show { json: true } => out::json(&raw.filled())?,
            Command::Show { json: false } => out::text(&toml::to_string(&raw.filled())?)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

//! `skillhost log`

use std::process::ExitCode;

use axum::http::Method;
use clap::Args;
use serde_json::json;

use super::{FAILED, out};
use crate::{
    app::block_on,
    config::Settings,
    transport::admin::{self, LEVELS},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  skillhost log                                    what is logged
  skillhost log warn,skillhost::guest=debug        log this from now on, until the host ends
  skillhost log --reset                            log what the configuration says again")]
pub(super) struct Log {
    /// error, warn, info, debug, trace, or target=level pairs with commas
    level: Option<String>,
    /// Back to what the configuration says
    #[arg(long, conflicts_with = "level")]
    reset: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Log {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (method, body) = match (&self.level, self.reset) {
            (None, false) => (Method::GET, None),
            (level, _) => (Method::PUT, Some(json!({"level": level}))),
        };
        let answers = block_on(admin::ask_each(&settings.data, (method, LEVELS), body))?;
        anyhow::ensure!(!answers.is_empty(), "no host runs on the data folder {}", settings.data.display());
        let mut well = true;
        for (pid, answer) in answers {
            let (status, told) = answer.map_err(|error| error.context(format!("process {pid}")))?;
            well &= status.is_success();
            if self.json {
                out::json(&json!({"pid": pid, "log": told}))?;
            } else if status.is_success() {
                out::text(&format!(
                    "{} (process {pid}; configured: {})\n",
                    out::harmless(told["level"].as_str().unwrap_or_default()),
                    out::harmless(told["configured"].as_str().unwrap_or_default())
                ))?;
            } else {
                out::note(&out::harmless(
                    told["error"]["message"].as_str().unwrap_or("it cannot be changed"),
                ));
            }
        }
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

//! `skillhost health`

use std::process::ExitCode;

use axum::http::Method;
use clap::Args;
use serde_json::{Value, json};

use super::{FAILED, out};
use crate::{app::block_on, config::Settings, transport::admin};

#[derive(Debug, Args)]
#[command(after_help = "\
Asks every host that runs on the data folder, over its socket. Exit codes: 0 all are well, warnings included; 1 one is not, or
does not answer, or none runs.")]
pub(super) struct Health {
    /// Only whether the host turns at all: restart it when it does not
    #[arg(long, conflicts_with = "readiness")]
    liveness: bool,
    /// Only whether calls should be sent to it
    #[arg(long)]
    readiness: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Health {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let path = match (self.liveness, self.readiness) {
            (true, _) => "/admin/health/liveness",
            (_, true) => "/admin/health/readiness",
            _ => "/admin/health",
        };
        let answers = block_on(admin::ask_each(&settings.data, (Method::GET, path), None))?;
        anyhow::ensure!(
            !answers.is_empty(),
            "no host runs on the data folder {}\n  hint: `skillhost serve` starts one; name its folder with --data",
            settings.data.display()
        );
        let mut well = true;
        let mut hosts = vec![];
        for (pid, answer) in answers {
            let (good, told) = match answer {
                Ok((status, told)) => (status.is_success(), told),
                Err(error) => (false, json!({"status": "unreachable", "reasons": [error.to_string()]})),
            };
            well &= good;
            hosts.push((pid, told));
        }
        if self.json {
            let hosts: Vec<_> = hosts.iter().map(|(pid, told)| json!({"pid": pid, "health": told})).collect();
            out::json(&hosts)?;
        } else {
            out::text(&hosts.iter().map(|(pid, told)| readable(*pid, told)).collect::<String>())?;
        }
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

/// A line a host, one a reason, and one a part that is not well.
fn readable(pid: u32, told: &Value) -> String {
    let text = |value: &Value| out::harmless(value.as_str().unwrap_or_default());
    let mut lines = format!("{} (process {pid}", text(&told["status"]));
    if let Some(uptime) = told["uptime_seconds"].as_f64() {
        // Whole seconds are enough for people.
        let uptime = std::time::Duration::from_secs_f64(uptime.trunc());
        lines += &format!(", version {}, up {}", text(&told["version"]), humantime::format_duration(uptime));
    }
    lines += ")\n";
    for reason in told["reasons"].as_array().into_iter().flatten() {
        lines += &format!("  {}\n", text(reason));
    }
    for (name, part) in told["parts"].as_object().into_iter().flatten() {
        if let Some(message) = part["message"].as_str() {
            lines += &format!("  {}: {name}: {}\n", text(&part["status"]), out::harmless(message));
        }
    }
    lines
}

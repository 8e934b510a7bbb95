//! `skillhost config`

use std::{fmt::Write as _, process::ExitCode};

use anyhow::bail;
use clap::{Args, Subcommand};
use skillhost_engine::check;

use super::{Common, out, serve};
use crate::config::{Raw, Settings, effective, page, schema, split};

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
    /// Check the configuration, and that what it grants is there; say what is wrong
    Check,
    /// Print the configuration as it counts, every default written out
    Show {
        /// What counts for this tool, such as text_diff, and who said it; SKILL/TOOL for a skill mounted at the root
        #[arg(long, value_name = "TOOL")]
        effective: Option<String>,
        /// Print JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of skillhost.toml, for editors
    Schema,
    /// Print the reference of all keys, as Markdown
    Reference,
}

impl Config {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        // These two say what could be written, not what was.
        match self.command {
            Command::Schema => {
                out::json(&schema())?;
                return Ok(ExitCode::SUCCESS);
            }
            Command::Reference => {
                out::text(&page())?;
                return Ok(ExitCode::SUCCESS);
            }
            Command::Check | Command::Show { .. } => {}
        }
        let mut raw = common.raw()?;
        if self.listen.is_some() {
            raw.server.listen = self.listen;
        }
        let settings = raw.clone().check()?;
        match self.command {
            Command::Show { effective: Some(tool), json } => show(&raw, &tool, json)?,
            Command::Show { effective: None, json: true } => out::json(&raw.filled())?,
            Command::Show { effective: None, json: false } => out::text(&toml::to_string(&raw.filled())?)?,
            _ => {
                serve::check(&settings)?;
                granted(&settings)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Look whether everything that was granted is there.
fn granted(settings: &Settings) -> anyhow::Result<()> {
    let skills = &settings.skills;
    let problems: Vec<_> = skills
        .skills
        .iter()
        .filter_map(|(name, skill)| {
            let error = check(&skill.grants, &skills.protected).err()?;
            Some(format!("`skills.{name}.grants`: {error}"))
        })
        .collect();
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("\n"));
    for warning in &settings.warnings {
        out::note(warning);
    }
    out::text("the configuration is sound\n")?;
    Ok(())
}

fn show(raw: &Raw, tool: &str, json: bool) -> anyhow::Result<()> {
    let Some((skill, name)) = split(raw, tool) else {
        bail!(
            "`{tool}` is no full name of a tool: write it like text_diff, or like text/diff for a skill mounted at the root"
        );
    };
    let rows = effective(raw, skill, name);
    if json {
        out::json(&rows)?;
        return Ok(());
    }
    let mut text = String::new();
    for row in &rows {
        writeln!(text, "{:<26} {:<24} {}", row.key, out::harmless(&row.value.to_string()), row.from)?;
    }
    out::text(&text)?;
    Ok(())
}

//! `skillhost list`

use std::{fmt::Write as _, process::ExitCode, sync::Arc, time::SystemTime};

use clap::Args;
use serde_json::{Value, json};
use skillhost_core::{Catalog, SkillState, SkillStatus, ToolName};
use skillhost_telemetry::Telemetry;

use super::{live, out};
use crate::{
    app::{App, Open, block_on},
    config::Settings,
    transport::admin::{Running, running},
};

/// Prompts, resources and templates of a skill that are shown; `--json` has them all.
const LISTED: usize = 20;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (catalog, running) = settled(settings)?;
        if self.json {
            out::json(&described(&catalog, &running))?;
        } else {
            out::text(&table(&catalog, &running, settings))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The catalog once every file was tried, and the hosts that run.
fn settled(settings: &Settings) -> anyhow::Result<(Arc<Catalog>, Vec<Running>)> {
    block_on(async {
        let running = running(&settings.data).await;
        let app = App::start(settings, Arc::new(Telemetry::silent()), Open::WithFirstUse).await?;
        let mut changes = app.dispatcher.changes();
        // The sender lives as long as the app: this cannot fail.
        let catalog = changes.wait_for(|catalog| catalog.settled).await?;
        Ok((Arc::clone(&catalog), running))
    })
}

fn described(catalog: &Catalog, running: &[Running]) -> Value {
    let skills: Vec<_> = catalog.skills.values().map(|status| skill(catalog, status, running)).collect();
    let refused: Vec<_> =
        catalog.refused.iter().map(|(file, reason)| json!({"file": file, "reason": reason})).collect();
    json!({ "skills": skills, "refused": refused })
}

fn skill(catalog: &Catalog, status: &SkillStatus, running: &[Running]) -> Value {
    let reason = match &status.state {
        SkillState::Failed(reason) => Some(reason),
        _ => None,
    };
    let tools: Vec<_> = status
        .tools
        .iter()
        .map(|name| json!({"name": name.as_str(), "description": description(catalog, name)}))
        .collect();
    let contested: Vec<_> =
        status.contested.iter().map(|(name, owner)| json!({"name": name, "owner": owner.as_str()})).collect();
    json!({
        "name": status.name.as_str(),
        "state": status.state.as_str(),
        "reason": reason,
        "digest": status.serving.map(|digest| digest.to_string()),
        "since": status.since.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        "tools": tools,
        "prompts": prompts(catalog, status).collect::<Vec<_>>(),
        "resources": resources(catalog, status).collect::<Vec<_>>(),
        "templates": templates(catalog, status).collect::<Vec<_>>(),
        "contested": contested,
        "running": live::described(running, status.name.as_str()),
    })
}

fn prompts<'a>(catalog: &'a Catalog, status: &'a SkillStatus) -> impl Iterator<Item = &'a str> {
    let own = catalog.prompts.iter().filter(|(_, served)| served.entry.skill == status.name);
    own.map(|(name, _)| name.as_str())
}

fn resources<'a>(catalog: &'a Catalog, status: &'a SkillStatus) -> impl Iterator<Item = &'a str> {
    let own = catalog.resources.iter().filter(|(_, served)| served.entry.skill == status.name);
    own.map(|(uri, _)| uri.as_str())
}

fn templates<'a>(catalog: &'a Catalog, status: &'a SkillStatus) -> impl Iterator<Item = &'a str> {
    let own = catalog.templates.iter().filter(|(_, served)| served.entry.skill == status.name);
    own.map(|(uri, _)| uri.as_str())
}

fn description<'a>(catalog: &'a Catalog, tool: &ToolName) -> Option<&'a str> {
    catalog.tools.get(tool)?.spec.description.as_deref()
}

fn table(catalog: &Catalog, running: &[Running], settings: &Settings) -> String {
    let mut text = String::new();
    if catalog.skills.is_empty() && catalog.refused.is_empty() {
        return format!("no skills in {}: copy a .wasm file into it\n", settings.skills.dir.display());
    }
    for status in catalog.skills.values() {
        let digest = status.serving.map_or("-".into(), |digest| digest.hex()[..12].to_owned());
        let _ = writeln!(text, "{:<20} {:<10} {digest}", status.name.as_str(), status.state.as_str());
        if let SkillState::Failed(reason) = &status.state {
            let _ = writeln!(text, "    {}", out::harmless(reason).replace('\n', "\n    "));
        }
        for line in live::lines(running, status.name.as_str()) {
            let _ = writeln!(text, "    {line}");
        }
        for tool in &status.tools {
            let first = description(catalog, tool).and_then(|text| text.lines().next()).unwrap_or_default();
            let _ = writeln!(text, "    {:<32} {}", tool.as_str(), out::harmless(first));
        }
        for (kind, names) in [
            ("prompt", prompts(catalog, status).collect::<Vec<_>>()),
            ("resource", resources(catalog, status).collect()),
            ("resources", templates(catalog, status).collect()),
        ] {
            for name in names.iter().take(LISTED) {
                let _ = writeln!(text, "    {kind:<10} {}", out::harmless(name));
            }
            if names.len() > LISTED {
                let _ = writeln!(text, "    {kind:<10} and {} more", names.len() - LISTED);
            }
        }
        for (name, owner) in &status.contested {
            let name = out::harmless(name);
            let _ = writeln!(text, "    {name:<32} not served: the name is taken by `{owner}`");
        }
    }
    for (file, reason) in &catalog.refused {
        let _ = writeln!(text, "{:<20} {:<10} {reason}", out::harmless(file), "refused");
    }
    text
}

//! `skillhost remove`

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use skillhost_core::{Digest, SkillName};
use skillhost_journal::OpenOf;
use skillhost_pipeline::Sagas;
use skillhost_skills::files;
use skillhost_telemetry::Metrics;

use super::{
    FAILED, INTERRUPTED, USAGE,
    add::{Folder, There},
    confirm::{Answer, confirm},
    inspect, out, stop_on_signal,
};
use crate::{
    app::{Open, block_on, recovery},
    config::Settings,
};

#[derive(Debug, Args)]
#[command(after_help = "\
The file goes, and with it the tools. What the skill has kept, its calls and its grants stay; so does
its component in the data folder, for as long as a call can still be taken back with it.")]
pub(super) struct Remove {
    /// The skill
    name: String,
    /// Remove it without asking
    #[arg(long, short)]
    yes: bool,
    /// Print JSON; asks nothing, so --yes is needed
    #[arg(long)]
    json: bool,
}

impl Remove {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.json && !self.yes {
            out::error(&anyhow::anyhow!("--json asks nothing: say --yes"));
            return Ok(ExitCode::from(USAGE));
        }
        let folder = Folder::open(&settings.skills.dir)?;
        let name = self.name.strip_suffix(".wasm").unwrap_or(&self.name);
        let found = SkillName::new(name).ok().map(|name| Ok::<_, anyhow::Error>((folder.look(&name)?, name)));
        let (there, name) = match found.transpose()? {
            Some((there, name)) if there != There::Nothing => (there, name),
            _ => {
                let known = files(&settings.skills)?;
                return Err(inspect::unknown(name, known.keys().map(SkillName::as_str).collect()));
            }
        };
        block_on(async {
            let stop = stop_on_signal()?;
            tokio::select! {
                biased;
                done = self.remove(&name, &folder, &there, settings) => done,
                () = stop.cancelled() => {
                    out::note("interrupted: nothing was removed");
                    Ok(ExitCode::from(INTERRUPTED))
                }
            }
        })
    }

    async fn remove(
        &self,
        name: &SkillName,
        folder: &Folder,
        there: &There,
        settings: &Settings,
    ) -> anyhow::Result<ExitCode> {
        let open = open(settings, name).await;
        for line in warnings(&open) {
            out::note(&line);
        }
        let file = folder.file(name);
        match confirm(&format!("Remove {}?", file.display()), self.yes).await? {
            Answer::Yes => {}
            Answer::No => {
                out::note("nothing was removed");
                return Ok(ExitCode::from(FAILED));
            }
            Answer::Nobody => {
                anyhow::bail!("nothing was removed: there is no terminal to ask at\n  hint: say --yes")
            }
        }
        folder.remove(name)?;
        let granted = settings.skills.skills.contains_key(name);
        if self.json {
            out::json(&json!({
                "skill": name.as_str(),
                "file": file.display().to_string(),
                "digest": there.component().map(|component| Digest::of(component).to_string()),
                "removed": true,
                "open": described(&open),
                "configured": granted,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let link = if matches!(there, There::Link(_)) { " (a link; what it leads to stays)" } else { "" };
        let mut text = format!("removed {}{link}\n", file.display());
        text.push_str("what it kept (`keyvalue`), its calls and its compiled code stay in the data folder\n");
        if granted {
            text.push_str(&format!(
                "[skills.{name}] stays in the configuration: whatever file has this name next gets its grants, unless they are \
                 pinned to a digest\n"
            ));
        }
        out::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What is still open of the skill; or why nobody knows. A folder without a journal has no calls.
async fn open(settings: &Settings, name: &SkillName) -> Result<OpenOf, String> {
    if !settings.data.join("journal.sqlite").exists() {
        return Ok(OpenOf::default());
    }
    let recovery = recovery(settings, Open::Now, &Metrics::default()).await;
    let sagas = Sagas::new(recovery.map_err(|error| format!("{error:#}"))?);
    sagas.open_of(name.as_str()).await.map_err(|error| error.to_string())
}

fn warnings(open: &Result<OpenOf, String>) -> Vec<String> {
    let OpenOf { running, letters, undoable } = match open {
        Ok(open) => open,
        Err(why) => return vec![format!("whether calls of it are open is not known: {why}")],
    };
    let mut lines = vec![];
    if *running > 0 {
        lines.push(format!("{running} of its calls run now; they go on with the component they began with"));
    }
    if *letters > 0 {
        lines.push(format!(
            "{letters} of its calls are dead letters that are not settled (`skillhost dlq list`); those that wait cannot run \
             without it"
        ));
    }
    if *undoable > 0 {
        lines.push(format!(
            "{undoable} of its calls can be taken back; they still can after it is gone: the host has kept its component, for as \
             long as they can"
        ));
    }
    lines
}

fn described(open: &Result<OpenOf, String>) -> Value {
    match open {
        Ok(OpenOf { running, letters, undoable }) => {
            json!({"running": running, "letters": letters, "undoable": undoable})
        }
        Err(why) => json!({"unknown": why}),
    }
}

//! `skillhost add`

mod changes;
mod fetch;
mod place;
mod show;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::http::Uri;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use skillhost_core::{Digest, SkillName};
use skillhost_engine::{Engine, OwnListeners};

use super::{
    FAILED, INTERRUPTED, USAGE,
    confirm::{Answer, confirm},
    inspect, out, stop_on_signal,
};
use crate::{
    app::{block_on, engine},
    config::Settings,
};
use changes::Changes;
pub(super) use place::{Folder, There};
pub(super) use show::Found;

#[derive(Debug, Args)]
#[command(after_help = "\
The component is looked at first: what it offers, what it asks for, and what the configuration grants
are shown before anything is installed. A host that runs takes it over by itself.")]
pub(super) struct Add {
    /// A .wasm file, or the https URL of one
    #[arg(value_name = "FILE|URL")]
    source: String,
    /// SHA-256 of the component: 64 hexadecimal digits. A URL needs it
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    sha256: Option<Digest>,
    /// The skill's name [default: that of the file]
    #[arg(long, value_name = "NAME", value_parser = SkillName::new)]
    name: Option<SkillName>,
    /// Install it without asking
    #[arg(long, short)]
    yes: bool,
    /// Replace the skill of this name, if there is another one
    #[arg(long)]
    force: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    /// How long fetching may take, up to 1h
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = patience)]
    timeout: Duration,
    /// Print JSON; asks nothing, so --yes or --dry-run is needed
    #[arg(long)]
    json: bool,
}

/// Where a component comes from.
enum Source {
    File(PathBuf),
    Url(Uri),
}

/// With or without `sha256:`.
fn digest(text: &str) -> Result<Digest, &'static str> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    format!("sha256:{hex}").parse().map_err(|_| "write 64 hexadecimal digits")
}

fn patience(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let fits = time > Duration::ZERO && time <= Duration::from_secs(3_600);
    fits.then_some(time).ok_or_else(|| "it must be from 1ms to 1h".into())
}

impl Add {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let source = match (fetch::url(&self.source)?, self.sha256) {
            (None, _) => Source::File(PathBuf::from(&self.source)),
            (Some(url), Some(_)) => Source::Url(url),
            (Some(_), None) => {
                return Ok(wrong(
                    "a URL needs --sha256: the digest that whoever publishes the component tells of it",
                ));
            }
        };
        if self.json && !self.yes && !self.dry_run {
            return Ok(wrong("--json asks nothing: say --yes or --dry-run"));
        }
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&source)?,
        };
        let folder = Folder::open(&settings.skills.dir)?;
        block_on(async {
            let stop = stop_on_signal()?;
            tokio::select! {
                // What has been done is told, also when a signal came meanwhile.
                biased;
                done = self.add(&source, &name, &folder, settings) => done,
                () = stop.cancelled() => {
                    out::note("interrupted: nothing was installed");
                    Ok(ExitCode::from(INTERRUPTED))
                }
            }
        })
    }

    async fn add(
        &self,
        source: &Source,
        name: &SkillName,
        folder: &Folder,
        settings: &Settings,
    ) -> anyhow::Result<ExitCode> {
        let component = self.read(source).await?;
        let digest = Digest::of(&component);
        if let Some(wanted) = self.sha256.filter(|wanted| *wanted != digest) {
            bail!(
                "{} is not the component that was asked for\n  wanted {wanted}\n  found  {digest}\n  \
                 hint: compare the digest with what its publisher says; do not install what you did not expect",
                self.source
            );
        }
        let there = folder.look(name)?;
        let same = there.component() == Some(&component);
        let bar = self.bar(name, "{spinner} looking at {msg}");
        let engine = engine(settings, &OwnListeners::default())?;
        let loaded = inspect::look(&engine, settings, name, component.clone()).await;
        let loaded = loaded.with_context(|| inspect::no_skill(&self.source))?;
        let changes = match &there {
            There::Nothing => None,
            _ if same => None,
            there => {
                let from = there.component().map(Digest::of);
                let old = old(&engine, settings, name, there).await;
                Some(Changes::between(from, old.as_ref().map_err(Clone::clone), &loaded))
            }
        };
        bar.finish_and_clear();
        let blocked = changes.is_some() && !self.force;
        let found =
            Found { name, source: &self.source, size: component.len(), loaded: &loaded, changes, settings };
        if !self.json {
            out::text(&found.page()?)?;
        }
        let file = folder.file(name);
        if blocked {
            bail!(
                "there is another skill `{name}`: {}\n  hint: replace it with --force, or choose another name with --name",
                file.display()
            );
        }
        if same {
            return self.tell(&found, &file, Done::Same);
        }
        if self.dry_run {
            return self.tell(&found, &file, Done::Nothing);
        }
        match confirm(&format!("Install it as {}?", file.display()), self.yes).await? {
            Answer::Yes => {}
            Answer::No => {
                out::note("nothing was installed");
                return Ok(ExitCode::from(FAILED));
            }
            Answer::Nobody => {
                bail!("nothing was installed: there is no terminal to ask at\n  hint: say --yes")
            }
        }
        folder.put(name, &component, &there)?;
        self.tell(&found, &file, Done::Installed)
    }

    async fn read(&self, source: &Source) -> anyhow::Result<Vec<u8>> {
        match source {
            Source::File(file) => {
                let kind =
                    std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
                anyhow::ensure!(kind.is_file(), "{} is not a regular file", file.display());
                inspect::read(file)
            }
            Source::Url(url) => {
                let template = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}";
                let bar = self.bar(url, template);
                let fetched = fetch::fetch(url.clone(), self.timeout, &bar).await;
                bar.finish_and_clear();
                fetched
            }
        }
    }

    fn bar(&self, what: &impl ToString, template: &str) -> ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style).with_message(what.to_string());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn tell(&self, found: &Found<'_>, file: &Path, done: Done) -> anyhow::Result<ExitCode> {
        if self.json {
            let mut described = found.described()?;
            described["file"] = file.display().to_string().into();
            described["installed"] = (done == Done::Installed).into();
            described["same"] = (done == Done::Same).into();
            out::json(&described)?;
            return Ok(ExitCode::SUCCESS);
        }
        let file = file.display();
        out::text(&match done {
            Done::Installed => {
                format!("\ninstalled as {file}; hosts that watch the folder take it over by themselves\n")
            }
            Done::Same => format!("\n{file} is this component already: nothing to do\n"),
            Done::Nothing => format!("\nnothing was installed; it would be {file}\n"),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Installed,
    Same,
    Nothing,
}

/// The command line says too little.
fn wrong(text: &str) -> ExitCode {
    out::error(&anyhow::anyhow!("{text}"));
    ExitCode::from(USAGE)
}

/// What is there now, loaded; or why it cannot be.
async fn old(
    engine: &Engine,
    settings: &Settings,
    name: &SkillName,
    there: &There,
) -> Result<skillhost_engine::Loaded, String> {
    let component = there.component().ok_or("it leads out of the folder, or nowhere")?;
    let loaded = inspect::look(engine, settings, name, component.to_vec()).await;
    loaded.map_err(|error| format!("{error:#}"))
}

/// A skill is named after its file.
fn name_of(source: &Source) -> anyhow::Result<SkillName> {
    let file = match source {
        Source::File(file) => file.file_name().map(|name| name.to_string_lossy().into_owned()),
        Source::Url(url) => url.path().rsplit('/').next().map(ToOwned::to_owned),
    };
    let file = file.unwrap_or_default();
    let stem = file.strip_suffix(".wasm").unwrap_or(&file);
    SkillName::new(stem).with_context(|| "the file's name is no name for a skill").map_err(|error| {
        anyhow::anyhow!("{error:#}\n  hint: choose one with --name, such as `{}`", likely(stem))
    })
}

/// The nearest that may be a name.
pub(super) fn likely(stem: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = stem.chars().take(skillhost_core::name::MAX_SKILL_NAME).map(fits).collect();
    let name = name.trim_matches('-');
    if SkillName::new(name).is_ok() { name.to_owned() } else { "my-skill".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_files_and_may_need_help() {
        let file = |path: &str| name_of(&Source::File(path.into())).map(|name| name.to_string());
        assert_eq!(file("/x/y/text.wasm").unwrap(), "text");
        assert_eq!(file("text").unwrap(), "text");
        for (path, likely) in [
            ("my_skill.wasm", "`my-skill`"),
            ("saga.wasm", "`my-skill`"),
            ("a b.wasm", "`a-b`"),
            ("..", "`my-skill`"),
        ] {
            let error = file(path).unwrap_err().to_string();
            assert!(error.contains("--name") && error.contains(likely), "{path}: {error}");
        }
        let url = Source::Url("https://a.example/dist/text.wasm?raw=1".parse().unwrap());
        assert_eq!(name_of(&url).unwrap().as_str(), "text");
        let root = Source::Url("https://a.example".parse().unwrap());
        assert!(name_of(&root).is_err());
    }

    #[test]
    fn digests_with_and_without_their_prefix() {
        let hex = Digest::of(b"").hex();
        for text in [hex.clone(), hex.to_uppercase(), format!("sha256:{hex}")] {
            assert_eq!(digest(&text), Ok(Digest::of(b"")));
        }
        assert!(digest(&hex[1..]).is_err() && digest("sha256:").is_err());
    }
}

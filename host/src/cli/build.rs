//! `skillhost build`

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use skillhost_build::{Built, Project, Stop};
use skillhost_core::SkillName;
use skillhost_engine::{Engine, Loaded, OwnListeners};
use tempfile::NamedTempFile;

use super::{
    add::{Found, likely},
    inspect, interrupted, out, stop_on_signal,
};
use crate::{
    app::{block_on, engine},
    config::Settings,
};

#[derive(Debug, Args)]
#[command(after_help = "\
The folder's files tell the language: Cargo.toml, package.json, pyproject.toml or app.py, go.mod, *.c. Its own
tools do the work; what is missing on this machine is named, with how to install it. Nothing is installed.

  skillhost build hello                                into hello/dist/hello.wasm
  skillhost build hello --out skills                   into skills/hello.wasm
  skillhost build hello -- --features more             arguments for the language's tool")]
pub(super) struct Build {
    #[command(flatten)]
    what: What,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is built, and where it goes.
#[derive(Debug, Clone, Args)]
pub(super) struct What {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub(super) dir: PathBuf,
    /// A .wasm file, or a folder for it [default: dist in the project's folder]
    #[arg(long, short, value_name = "PATH")]
    pub(super) out: Option<PathBuf>,
    /// The skill's name [default: that of the file in --out, of the package, or of the folder]
    #[arg(long, value_name = "NAME", value_parser = SkillName::new)]
    pub(super) name: Option<SkillName>,
    /// Arguments for the language's own tool
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub(super) extra: Vec<OsString>,
}

/// A component that was built, that the host can serve, and that is in its place.
pub(super) struct Made {
    pub(super) name: SkillName,
    pub(super) file: PathBuf,
    pub(super) built: Built,
    pub(super) loaded: Loaded,
}

impl Build {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let project = Project::find(&self.what.dir)?;
        let made = block_on(async {
            let stop = stop_on_signal()?;
            let engine = engine(settings, &OwnListeners::default())?;
            stop.run_until_cancelled(self.what.make(&project, &engine, settings)).await.transpose()
        })?;
        let Some(made) = made else {
            return Ok(interrupted());
        };
        if self.json {
            out::json(&made.described(settings)?)?;
        } else {
            out::text(&made.page(settings)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl What {
    /// Build it, look whether it can be served, and put it in its place. Dropped, it ends the language's tools.
    pub(super) async fn make(
        &self,
        project: &Project,
        engine: &Engine,
        settings: &Settings,
    ) -> anyhow::Result<Made> {
        let (work, extra, stop) = (project.clone(), self.extra.clone(), Stop::default());
        let _stopping = Stopping(stop.clone());
        let built = tokio::task::spawn_blocking(move || work.build(&extra, &stop)).await??;
        let name = match &self.name {
            Some(name) => name.clone(),
            // What the file will be called is what the configuration goes by.
            None => match self.named_file().and_then(Path::file_stem) {
                Some(stem) => named(&stem.to_string_lossy())?,
                None => named(&built.name)?,
            },
        };
        let loaded = inspect::look(engine, settings, &name, built.component.clone()).await;
        let loaded = loaded.with_context(|| inspect::no_skill(&"what was built"))?;
        let file = self.file(project, &name);
        place(&built.component, &file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Made { name, file, built, loaded })
    }

    /// The file that `--out` names, when it is not a folder.
    fn named_file(&self) -> Option<&Path> {
        let file =
            |out: &&Path| out.extension().is_some_and(|extension| extension == "wasm") && !out.is_dir();
        self.out.as_deref().filter(file)
    }

    /// The folder that the component is put into.
    pub(super) fn folder(&self, project: &Project) -> PathBuf {
        match self.named_file() {
            Some(file) => folder_of(file).to_owned(),
            None => self.out.clone().unwrap_or_else(|| project.dir.join("dist")),
        }
    }

    fn file(&self, project: &Project, name: &SkillName) -> PathBuf {
        match self.named_file() {
            Some(file) => file.to_owned(),
            None => self.folder(project).join(format!("{name}.wasm")),
        }
    }
}

impl Made {
    fn found<'a>(&'a self, settings: &'a Settings) -> Found<'a> {
        Found {
            name: &self.name,
            source: &self.built.with,
            size: self.built.component.len(),
            loaded: &self.loaded,
            changes: None,
            settings,
        }
    }

    fn described(&self, settings: &Settings) -> anyhow::Result<Value> {
        let mut described = self.found(settings).described()?;
        described["file"] = self.file.display().to_string().into();
        Ok(described)
    }

    fn page(&self, settings: &Settings) -> anyhow::Result<String> {
        let mut text = format!("built    {}\n", self.file.display());
        text.push_str(&self.found(settings).page()?);
        let interfaces = &self.loaded.interfaces;
        for (what, names) in [("exports", &interfaces.exports), ("imports", &interfaces.imports)] {
            writeln!(text, "\n{what}")?;
            if names.is_empty() {
                text.push_str("  nothing\n");
            }
            for name in names {
                writeln!(text, "  {}", out::harmless(name))?;
            }
        }
        Ok(text)
    }
}

/// Stops a build that nobody waits for any more.
struct Stopping(Stop);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A skill's name for what its own tools call so.
fn named(name: &str) -> anyhow::Result<SkillName> {
    let near = name.replace('_', "-");
    SkillName::new(&near).with_context(|| format!("`{name}` is no name for a skill")).map_err(|error| {
        anyhow::anyhow!("{error:#}\n  hint: choose one with --name, such as `{}`", likely(&near))
    })
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// By way of another name: nobody sees half a component, a host that watches the folder least of all.
fn place(component: &[u8], file: &Path) -> std::io::Result<()> {
    let folder = folder_of(file);
    fs::create_dir_all(folder)?;
    let new = NamedTempFile::with_prefix_in(".", folder)?;
    fs::write(new.path(), component)?;
    #[cfg(unix)]
    fs::set_permissions(new.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_become_names_of_skills() {
        assert_eq!(named("my_skill").unwrap().as_str(), "my-skill");
        let error = named("saga").unwrap_err().to_string();
        assert!(error.contains("--name") && error.contains("`my-skill`"), "{error}");
    }
}

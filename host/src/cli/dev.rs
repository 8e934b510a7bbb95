//! `skillhost dev`

mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use skillhost_build::Project;
use skillhost_engine::OwnListeners;
use tokio::task::AbortHandle;

use super::{Common, build::What, serve::Serve};
use crate::{app::engine, config::Settings};
use watch::Sources;

#[derive(Debug, Args)]
#[command(after_help = "\
The skill is served at http://127.0.0.1:8000/mcp, and with each change of its source it is built again; clients
that are connected see its new tools at once. What does not build, or cannot be served, leaves the last good version
in its place. The skill alone is served, or beside those of --skills. It is kept in .skillhost in the project's folder, with the
host's state, apart from any other host's.")]
pub(super) struct Dev {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    serve: Serve,
}

impl Dev {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let Self { mut what, serve } = self;
        let project = Project::find(&what.dir)?;
        let own = own_folder(&project.dir.join(".skillhost"))?;
        what.out = what.out.or_else(|| common.skills.clone());
        let alone = what.out.is_none();
        what.out.get_or_insert_with(|| own.join("skills"));
        let skills = what.folder(&project);
        fs::create_dir_all(&skills).with_context(|| format!("cannot make {}", skills.display()))?;
        let data = common.data.clone().unwrap_or_else(|| own.join("data"));
        let common = Common { skills: Some(skills), data: Some(data), ..common.clone() };
        serve.run_beside(&common, |settings| {
            let sources = Sources::watch(&project.dir)
                .with_context(|| format!("cannot watch {}", project.dir.display()))?;
            let task = tokio::spawn(keep_building(what, project, alone, settings.clone(), sources));
            Ok(Ending(task.abort_handle()))
        })
    }
}

/// A folder that no repository keeps.
fn own_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    let ignore = folder.join(".gitignore");
    fs::create_dir_all(folder)
        .and_then(|()| if ignore.exists() { Ok(()) } else { fs::write(&ignore, "*\n") })
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    Ok(folder.to_owned())
}

/// A task that ends with this.
struct Ending(AbortHandle);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Build now, and with each change.
async fn keep_building(what: What, project: Project, alone: bool, settings: Settings, mut sources: Sources) {
    loop {
        if let Err(error) = built(&what, &project, alone, &settings).await {
            tracing::error!(error = format!("{error:#}"), "not built; what serves goes on");
        }
        sources.changed().await;
    }
}

/// Remove components of earlier names of the project beside this one.
fn only(component: &Path) -> std::io::Result<()> {
    let folder = component.parent().unwrap_or(component);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path != component && path.extension().is_some_and(|extension| extension == "wasm") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

async fn built(what: &What, project: &Project, alone: bool, settings: &Settings) -> anyhow::Result<()> {
    let engine = engine(settings, &OwnListeners::default())?;
    let made = what.make(project, &engine, settings).await?;
    if alone {
        only(&made.file)?;
    }
    let size = bytesize::ByteSize(made.built.component.len() as u64).display().iec();
    let tools: Vec<_> = made.loaded.tools.iter().map(|spec| spec.name.as_str()).collect();
    tracing::info!(skill = %made.name, %size, tools = tools.join(", "), "built");
    Ok(())
}

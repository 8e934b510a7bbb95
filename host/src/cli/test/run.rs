//! Runs a case: a host of its own, with nothing of any other.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::json;
use skillhost_core::{CallId, SkillName, ToolName};
use skillhost_pipeline::{Request, Response};
use skillhost_telemetry::Telemetry;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    case::{Case, FileIs, Step, What},
    judge::{self, differs},
    mock::Mocks,
};
use crate::{
    app::{App, Open, StandIns, clock},
    cli::call::request,
    config::{Raw, Settings, raw},
    transport::reply,
};

/// Files that a writable folder is copied of, at most.
const MOST_FILES: usize = 10_000;
/// Bytes of them.
const MOST_BYTES: u64 = 256 << 20;

/// What a case is run against.
pub(super) struct Bench<'a> {
    pub(super) name: &'a SkillName,
    pub(super) component: &'a [u8],
    /// The configuration, whose policies count.
    pub(super) raw: &'a Raw,
    /// Where compiled code is kept from one case to the next.
    pub(super) compiled: &'a Path,
    pub(super) stop: &'a CancellationToken,
}

/// What became of a case.
pub(super) struct Ran {
    pub(super) problems: Vec<String>,
    pub(super) took: Duration,
}

impl Bench<'_> {
    pub(super) async fn run(&self, case: &Case) -> Ran {
        let clock = clock();
        let began = clock.now();
        let problems = self.judged(case).await.unwrap_or_else(|error| vec![format!("{error:#}")]);
        Ran { problems, took: clock.now().saturating_duration_since(began) }
    }

    async fn judged(&self, case: &Case) -> anyhow::Result<Vec<String>> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let mut grants = case.grants.clone();
        copied(&mut grants, &folder)?;
        let settings = self.settings(grants.clone(), folder.path())?;
        // Otherwise the skill would only be said not to be ready.
        skillhost_engine::check(&settings.skills.of(self.name).grants, &settings.skills.protected)?;
        fs::create_dir(&settings.skills.dir)?;
        fs::write(settings.skills.dir.join(format!("{}.wasm", self.name)), self.component)?;
        let mocks = Mocks::of(case);
        let stand_ins = StandIns { tools: mocks.tools()?, upstream: Some(mocks.clone()) };
        let telemetry = Arc::new(Telemetry::silent());
        let app = App::start_among(&settings, telemetry, Open::WithFirstUse, stand_ins).await?;
        let mut problems = vec![];
        let mut ids: Vec<CallId> = vec![];
        for (n, step) in case.steps.iter().enumerate() {
            let response = self.step(&app, &settings, step, &ids, &mocks).await?;
            ids.push(response.id);
            let mut found = judge::problems(&step.expect, &reply::to_mcp(response));
            found.extend(files(step, &grants)?);
            let several = case.steps.len() > 1;
            problems.extend(found.into_iter().map(|problem| match several {
                true => format!("step {}: {problem}", n + 1),
                false => problem,
            }));
            if !problems.is_empty() {
                // What comes after leans on it.
                break;
            }
        }
        problems.extend(mocks.problems());
        let mut shutdown = app.shutdown();
        app.close(&mut shutdown).await;
        Ok(problems)
    }

    /// What counts in production, but for the folders and what the case grants.
    fn settings(&self, grants: raw::Grants, folder: &Path) -> anyhow::Result<Settings> {
        let mut raw = self.raw.clone();
        raw.server.skills = Some(folder.join("skills"));
        raw.server.data = Some(folder.join("data"));
        // `undo` is a call of one of them.
        raw.sagas.tools = Some(true);
        raw.skills.retain(|name, _| name == self.name.as_str());
        raw.skills.entry(self.name.to_string()).or_default().grants = Some(grants);
        let mut settings = raw.check()?;
        settings.engine.cache = self.compiled.to_owned();
        // Nobody else waits here: let a first compilation end.
        settings.pipeline.ready_wait = settings.engine.compile_timeout;
        Ok(settings)
    }

    async fn step(
        &self,
        app: &App,
        settings: &Settings,
        step: &Step,
        ids: &[CallId],
        mocks: &Mocks,
    ) -> anyhow::Result<Response> {
        let (tool, arguments) = match &step.what {
            What::Call { tool, arguments } => {
                (settings.skills.of(self.name).mount.tool(self.name, tool)?, arguments.clone())
            }
            What::Undo(earlier) => {
                let arguments = json!({ "id": ids[*earlier].to_string() });
                (ToolName::bare("undo_call")?, arguments.as_object().cloned())
            }
        };
        let request =
            Request { client: mocks.client(), ..request(tool.to_string(), arguments, self.stop.clone()) };
        let mut response = app.dispatcher.call(request.clone()).await;
        while let Some(given) = response.asked.as_ref().and_then(|asking| mocks.answers(asking)) {
            response = app.dispatcher.call(Request { given: Some(given), ..request.clone() }).await;
        }
        if self.stop.is_cancelled() {
            bail!("it was interrupted");
        }
        Ok(response)
    }
}

/// What is otherwise than expected of files after a step.
fn files(step: &Step, grants: &raw::Grants) -> anyhow::Result<Vec<String>> {
    let mut problems = vec![];
    for (path, wanted) in &step.expect.files {
        problems
            .extend(file(path, wanted, &host(path, grants)?).with_context(|| format!("cannot read {path}"))?);
    }
    Ok(problems)
}

/// What is otherwise than expected of one. Nothing is read that the skill may have put there to mislead whoever tries it out.
fn file(path: &str, wanted: &FileIs, at: &Granted) -> io::Result<Option<String>> {
    let file = match at.folder.join(&at.rest).canonicalize() {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (file, wanted) = match (file, wanted) {
        (None, FileIs::There(false)) => return Ok(None),
        (None, _) => return Ok(Some(format!("there is no file {path}"))),
        (Some(_), FileIs::There(false)) => return Ok(Some(format!("the file {path} is there"))),
        (Some(file), FileIs::There(true)) => (file, None),
        (Some(file), FileIs::Text(wanted)) => (file, Some(wanted)),
    };
    let inside = file.starts_with(at.folder.canonicalize()?);
    if !inside || !file.metadata()?.is_file() {
        let problem = if inside { "is no file" } else { "leads out of its folder" };
        return Ok(Some(format!("{path} {problem}")));
    }
    let Some(wanted) = wanted else { return Ok(None) };
    let size = file.metadata()?.len();
    if size > MOST_BYTES {
        return Ok(Some(format!("the file {path} has {size} bytes, which is too much to be compared")));
    }
    let found = String::from_utf8_lossy(&fs::read(&file)?).into_owned();
    Ok((found != *wanted).then(|| differs(&format!("the file {path} differs"), wanted, &found)))
}

/// Where a path of the guest's is.
#[derive(Debug, PartialEq)]
struct Granted {
    folder: PathBuf,
    rest: PathBuf,
}

fn host(path: &str, grants: &raw::Grants) -> anyhow::Result<Granted> {
    let within = |folder: &&raw::Folder| Path::new(path).starts_with(&folder.guest);
    let folder = grants.files.iter().filter(within).max_by_key(|folder| folder.guest.len());
    let folder = folder.with_context(|| format!("no folder is granted that holds {path}"))?;
    let rest = Path::new(path).strip_prefix(&folder.guest)?;
    anyhow::ensure!(
        rest.components().all(|part| matches!(part, Component::Normal(_))),
        "{path} leads elsewhere; write it without `..`"
    );
    Ok(Granted { folder: folder.host.clone(), rest: rest.to_owned() })
}

/// A skill under test changes copies: the same case finds the same files again. A folder that is not there is an empty one.
fn copied(grants: &mut raw::Grants, to: &TempDir) -> anyhow::Result<()> {
    let mut left = (MOST_FILES, MOST_BYTES);
    for (n, folder) in grants.files.iter_mut().enumerate() {
        if folder.access == raw::Access::ReadWrite {
            let copy = to.path().join(format!("files-{n}"));
            fs::create_dir(&copy)?;
            if folder.host.exists() {
                copy_folder(&folder.host, &copy, &mut left)
                    .with_context(|| format!("cannot copy {}", folder.host.display()))?;
            }
            folder.host = copy;
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path, left: &mut (usize, u64)) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, copy) = (entry.file_type()?, to.join(entry.file_name()));
        let rest = left.0.checked_sub(1).zip(left.1.checked_sub(entry.metadata()?.len()));
        *left =
            rest.with_context(|| format!("it has more than {MOST_FILES} files or {} MiB", MOST_BYTES >> 20))?;
        if kind.is_dir() {
            fs::create_dir(&copy)?;
            copy_folder(&entry.path(), &copy, left)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &copy)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &copy)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(host: &Path, access: raw::Access) -> raw::Grants {
        let folder = raw::Folder { host: host.to_owned(), guest: "/data".into(), access };
        raw::Grants { files: vec![folder], ..raw::Grants::default() }
    }

    #[test]
    fn what_is_written_to_is_a_copy() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("sub")).unwrap();
        fs::write(from.path().join("sub/a"), "a").unwrap();
        let mut grants = granted(from.path(), raw::Access::ReadWrite);
        copied(&mut grants, &to).unwrap();
        let Granted { folder, rest } = host("/data/sub/a", &grants).unwrap();
        assert!(folder.starts_with(to.path()));
        fs::write(folder.join(rest), "b").unwrap();
        assert_eq!(fs::read_to_string(from.path().join("sub/a")).unwrap(), "a");
        let mut read = granted(from.path(), raw::Access::ReadOnly);
        copied(&mut read, &to).unwrap();
        assert_eq!(read.files[0].host, from.path());
    }

    #[test]
    fn what_is_not_there_is_an_empty_folder_and_what_is_too_large_is_refused() {
        let to = tempfile::tempdir().unwrap();
        let mut grants = granted(Path::new("no-such-folder"), raw::Access::ReadWrite);
        copied(&mut grants, &to).unwrap();
        assert_eq!(fs::read_dir(&grants.files[0].host).unwrap().count(), 0);
        let from = tempfile::tempdir().unwrap();
        fs::write(from.path().join("a"), "abc").unwrap();
        let copy = |left| copy_folder(from.path(), tempfile::tempdir().unwrap().path(), &mut { left });
        assert!(copy((1, 3)).is_ok() && copy((0, 3)).is_err() && copy((1, 2)).is_err());
    }

    #[test]
    fn a_path_stays_in_its_folder() {
        let grants = granted(Path::new("/x"), raw::Access::ReadWrite);
        let granted = Granted { folder: "/x".into(), rest: "a/b".into() };
        assert_eq!(host("/data/a/b", &grants).unwrap(), granted);
        assert!(host("/data/../b", &grants).is_err() && host("/other", &grants).is_err());
    }

    #[test]
    fn what_a_skill_left_behind_misleads_nobody() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        fs::write(folder.path().join("a"), "a").unwrap();
        for (link, to) in [("out", &*secret), ("in", Path::new("a")), ("nowhere", Path::new("b"))] {
            std::os::unix::fs::symlink(to, folder.path().join(link)).unwrap();
        }
        let pipe = rustix::fs::Mode::from(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), pipe).unwrap();
        let found = |path: &str, wanted: FileIs| {
            let at = Granted { folder: folder.path().to_owned(), rest: path.into() };
            file(path, &wanted, &at).unwrap()
        };
        let text = |text: &str| FileIs::Text(text.into());
        assert_eq!(
            found("a", text("a")).or(found("in", text("a"))).or(found("a", FileIs::There(true))),
            None
        );
        assert!(found("out", text("other")).unwrap().contains("leads out"));
        assert!(found("out", FileIs::There(true)).unwrap().contains("leads out"));
        assert!(found("pipe", text("a")).unwrap().contains("is no file"));
        assert!(found("nowhere", text("a")).unwrap().contains("there is no file"));
        assert!(found("a", text("b")).unwrap().contains("differs"));
        assert_eq!(found("nowhere", FileIs::There(false)), None);
    }
}

//! What an operator does with dead letters. The same for the command line and the admin API.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value};
use skillhost_core::{CallId, Catalog, FailureKind};
use skillhost_journal::{
    Changed, Edit, Event, Filter, JournalError, Page, PageOf, Priority, Record, SealError, State, Stats,
    Timestamp, archive,
};
use skillhost_policy::secret;

use super::{Foreseen, Recovery, Standing, arguments};
use crate::Dispatcher;

/// Letters that are looked at together.
const BATCH: u32 = 200;
/// Bytes of lines that are written together.
const FLUSH: usize = 8 << 20;

/// Looks at letters and changes them.
#[derive(Clone)]
pub struct Letters {
    recovery: Arc<Recovery>,
    /// None where no host runs: then nothing is known of tools.
    dispatcher: Option<Arc<Dispatcher>>,
}

/// Why something cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum LettersError {
    /// The journal cannot be used.
    #[error("{0}")]
    Journal(JournalError),
    /// There is no such letter.
    #[error("there is no dead letter {0}")]
    Missing(CallId),
    /// Not in the state that it is in.
    #[error("the dead letter {0} is {state}; that can be done only with one that is waiting or parked", state = .1.as_str(true))]
    State(CallId, State),
    /// New arguments that the tool would not take.
    #[error("{0}")]
    Arguments(String),
    /// Secrets cannot be sealed or read.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// The archive cannot be written.
    #[error("the archive {} cannot be written: {error}", .file.display())]
    Archive {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A letter with its life so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The letter. What is secret in its arguments is not shown.
    pub letter: Record,
    /// Oldest step first.
    pub history: Vec<Event>,
}

/// What a letter needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The letter.
    pub id: CallId,
    /// Where it is, and what that means.
    pub state: String,
    /// Why it is there.
    pub why: Vec<String>,
    /// What can be done, with the commands for it.
    pub options: Vec<String>,
    /// What the operator's rules would do with it now; none where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playbooks: Option<Foreseen>,
}

/// What became of lines of an archive.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Restored {
    /// Letters that are back.
    pub restored: u64,
    /// Letters that are there already.
    pub present: u64,
    /// Lines that are no letters: their number, from 1, and what is wrong.
    pub refused: Vec<(u64, String)>,
}

impl Letters {
    /// With what `dispatcher` knows of their tools, where a host runs.
    #[must_use]
    pub fn new(recovery: Arc<Recovery>, dispatcher: Option<Arc<Dispatcher>>) -> Self {
        Self { recovery, dispatcher }
    }

    /// Letters, by filter.
    ///
    /// # Errors
    /// [`LettersError::Journal`].
    pub async fn list(&self, filter: Filter, page: PageOf) -> Result<Page, LettersError> {
        Ok(self.recovery.journal.letters(filter, page).await?)
    }

    /// One letter.
    ///
    /// # Errors
    /// [`LettersError::Missing`], [`LettersError::Journal`].
    pub async fn show(&self, id: CallId) -> Result<Shown, LettersError> {
        let letter = self.recovery.journal.get(id).await?.filter(Record::is_letter);
        let letter = letter.ok_or(LettersError::Missing(id))?;
        Ok(Shown { letter, history: self.recovery.journal.history(id).await? })
    }

    /// All letters together.
    ///
    /// # Errors
    /// [`LettersError::Journal`].
    pub async fn stats(&self) -> Result<Stats, LettersError> {
        Ok(self.recovery.journal.stats().await?)
    }

    /// Change the arguments, or the priority, of a letter that waits or is parked. Where new arguments hold the word for a
    /// secret in its place, the secret stays.
    ///
    /// # Errors
    /// [`LettersError`].
    pub async fn edit(
        &self,
        id: CallId,
        arguments: Option<Map<String, Value>>,
        priority: Option<Priority>,
        by: &str,
    ) -> Result<(), LettersError> {
        let arguments = match arguments {
            None => None,
            Some(new) => Some(self.resealed(id, Value::Object(new)).await?),
        };
        let edit = Edit { arguments, priority };
        let changed = self.recovery.journal.edit(id, edit, by.to_owned(), self.recovery.now()).await?;
        told(id, changed, "edited")
    }

    async fn resealed(
        &self,
        id: CallId,
        mut new: Value,
    ) -> Result<skillhost_journal::Arguments, LettersError> {
        let Shown { letter, .. } = self.show(id).await?;
        // What is secret is the tool's schema's word, and its operator's. Without them nothing is written.
        let unknown = |why: &str| {
            let text =
                format!("{why}: what of new arguments is secret, and whether they fit, cannot be known");
            Err(LettersError::Arguments(text))
        };
        let Some(dispatcher) = &self.dispatcher else { return unknown("no host runs on this data folder") };
        let catalog = dispatcher.catalog();
        let Some(entry) = catalog.tools.get(letter.tool.as_str()) else {
            return unknown(&format!("the tool `{}` is not there now", letter.tool));
        };
        let mut pointers = dispatcher.secret_arguments(entry);
        if let Some(sealed) = &letter.arguments.sealed {
            let secrets = self.recovery.sealer.open(id, sealed)?;
            let secrets: Map<String, Value> =
                serde_json::from_str(&secrets).map_err(|_| SealError::Broken)?;
            pointers.extend(secrets.keys().cloned());
            secret::put_back(&mut new, secrets);
        }
        entry.spec.input.validate(&new, new.to_string().len()).map_err(|violations| {
            let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
            LettersError::Arguments(format!("the tool does not take these arguments: {}", lines.join("; ")))
        })?;
        Ok(arguments::sealed(&self.recovery.sealer, id, new, pointers.iter().map(String::as_str))?)
    }

    /// Run a parked letter again, or a waiting one earlier, after `after`. `pin`: only with the version of the skill that failed.
    ///
    /// # Errors
    /// [`LettersError`].
    pub async fn replay(&self, id: CallId, after: Duration, pin: bool, by: &str) -> Result<(), LettersError> {
        let now = self.recovery.now();
        let changed = self.recovery.journal.replay(id, now.plus(after), pin, by.to_owned(), now).await?;
        self.recovery.due.notify_one();
        told(id, changed, "replayed")
    }

    /// Give up a letter that waits or is parked.
    ///
    /// # Errors
    /// [`LettersError`].
    pub async fn discard(&self, id: CallId, by: &str) -> Result<(), LettersError> {
        let changed = self.recovery.journal.discard(id, by.to_owned(), self.recovery.now()).await?;
        told(id, changed, "discarded")
    }

    /// Move letters to the archive: those of `ids` that are parked or at their end. Answers how many, and the file.
    ///
    /// # Errors
    /// [`LettersError::Archive`]; letters that were not written stay.
    pub async fn archive(&self, ids: &[CallId]) -> Result<(u64, PathBuf), LettersError> {
        let file = self.file();
        let (mut lines, mut written, mut archived) = (String::new(), vec![], 0);
        for id in ids {
            let Shown { letter, history } = match self.show(*id).await {
                Err(LettersError::Missing(_)) => continue,
                // It must not stand in the way of the others.
                Err(LettersError::Journal(JournalError::Damaged(problem))) => {
                    tracing::error!(call_id = %id, problem, "a letter cannot be read; it is not archived");
                    continue;
                }
                shown => shown?,
            };
            if matches!(letter.state, State::Running | State::Waiting | State::RollingBack) {
                continue;
            }
            let line = archive::write(&letter, history).map_err(|error| {
                LettersError::Journal(JournalError::Damaged(format!("call {id}: {error}")))
            })?;
            lines.push_str(&line);
            lines.push('\n');
            written.push((*id, letter.state));
            if lines.len() > FLUSH {
                archived +=
                    self.archived(&file, std::mem::take(&mut lines), std::mem::take(&mut written)).await?;
            }
        }
        archived += self.archived(&file, lines, written).await?;
        Ok((archived, file))
    }

    /// Write lines, then remove their letters.
    async fn archived(
        &self,
        file: &Path,
        lines: String,
        written: Vec<(CallId, State)>,
    ) -> Result<u64, LettersError> {
        if written.is_empty() {
            return Ok(0);
        }
        let to = file.to_owned();
        let appended = tokio::task::spawn_blocking(move || append(&to, lines.as_bytes())).await;
        let appended = appended.unwrap_or_else(|error| Err(io::Error::other(error)));
        appended.map_err(|error| LettersError::Archive { file: file.to_owned(), error })?;
        let mut archived = 0;
        for (id, state) in written {
            // One that somebody replayed meanwhile stays; its line in the archive does no harm.
            if self.recovery.journal.archived(id, state).await? {
                tracing::info!(call_id = %id, step = "archived", "recovery");
                archived += 1;
            }
        }
        Ok(archived)
    }

    /// One file a month.
    fn file(&self) -> PathBuf {
        let month: String = self.recovery.now().to_string().chars().take(7).collect();
        self.recovery.settings.archive.join(format!("letters-{month}.jsonl"))
    }

    /// Archive what is due for it. Answers how many.
    ///
    /// # Errors
    /// [`LettersError`].
    pub(super) async fn sweep(&self) -> Result<u64, LettersError> {
        let recovery = &self.recovery;
        let mut total = 0;
        loop {
            let now = recovery.now();
            let ended_before = now.minus(recovery.settings.archive_after);
            let ids = recovery.journal.archivable(ended_before, BATCH, now).await?;
            let (archived, _) = self.archive(&ids).await?;
            total += archived;
            if archived == 0 || ids.len() < BATCH as usize {
                break;
            }
        }
        loop {
            let now = recovery.now();
            let purged = recovery.journal.purge(now.minus(recovery.settings.keep), BATCH, now).await?;
            if purged < u64::from(BATCH) {
                break;
            }
        }
        recovery.forget_steps(BATCH).await?;
        Ok(total)
    }

    /// Put letters back from lines of an archive. What was to be run comes back parked.
    ///
    /// # Errors
    /// [`LettersError::Journal`].
    pub async fn restore(&self, lines: &str) -> Result<Restored, LettersError> {
        let mut done = Restored::default();
        for (n, line) in (1..).zip(lines.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            match archive::read(line) {
                Err(problem) => done.refused.push((n, problem)),
                Ok((letter, history)) => {
                    let id = letter.id;
                    if self.recovery.journal.restore(Box::new(letter), history, self.recovery.now()).await? {
                        tracing::info!(call_id = %id, step = "restored", "recovery");
                        done.restored += 1;
                    } else {
                        done.present += 1;
                    }
                }
            }
        }
        Ok(done)
    }

    /// What a letter needs.
    ///
    /// # Errors
    /// [`LettersError::Missing`], [`LettersError::Journal`].
    pub async fn explain(&self, id: CallId) -> Result<Explained, LettersError> {
        let Shown { letter, .. } = self.show(id).await?;
        let catalog = self.dispatcher.as_ref().map(|dispatcher| dispatcher.catalog());
        let playbooks = self.recovery.foreseen(id).await?;
        Ok(Explained { playbooks, ..explained(&letter, catalog.as_deref(), self.recovery.now()) })
    }
}

fn told(id: CallId, changed: Changed, step: &str) -> Result<(), LettersError> {
    match changed {
        Changed::Yes => {
            tracing::info!(call_id = %id, step, "recovery");
            Ok(())
        }
        Changed::Missing => Err(LettersError::Missing(id)),
        Changed::Not(state) => Err(LettersError::State(id, state)),
    }
}

/// Append to a file that others append to as well; on disk when this returns.
fn append(file: &Path, lines: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut opened = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    opened.lock()?;
    let before = opened.metadata()?.len();
    let written = opened.write_all(lines).and_then(|()| opened.sync_all());
    if written.is_err() {
        // Half a line would spoil the next one.
        let _ = opened.set_len(before);
    }
    written?;
    fs::File::open(folder)?.sync_all()
}

fn explained(letter: &Record, catalog: Option<&Catalog>, now: Timestamp) -> Explained {
    let standing = Standing::of(letter, now);
    let mut why = vec![];
    if let Some(problem) = &letter.problem {
        why.push(format!("its last run ended with `{}`: {}", problem.kind, problem.message));
        if let Some(kind) = FailureKind::from_code(&problem.kind) {
            why.push(format!("`skillhost explain {kind}` tells what that means"));
        }
        if problem.unknown_effect && !letter.safe {
            why.push("one of its runs may have taken effect, and the tool is neither read-only nor idempotent: it is not run again by itself".into());
        }
    }
    if letter.tries >= letter.max_tries {
        why.push(format!("it has used up its {} runs", letter.max_tries));
    }
    if now >= letter.gives_up {
        why.push(format!("it is older than its calls may be ({})", letter.gives_up));
    }
    match catalog.map(|catalog| catalog.tools.get(letter.tool.as_str())) {
        Some(None) => why.push(format!("the tool `{}` is not there now", letter.tool)),
        Some(Some(entry)) if entry.digest != letter.digest && letter.pinned => {
            why.push(
                "the skill has changed since: it runs with the version that failed, as was asked for".into(),
            );
        }
        Some(Some(entry)) if entry.digest != letter.digest => {
            why.push("the skill has changed since: a replay uses the version that is loaded now".into());
        }
        _ => {}
    }
    let id = letter.id;
    let options = match letter.state {
        State::Parked => vec![
            format!("run it again: skillhost dlq replay {id}"),
            format!("change its arguments first: skillhost dlq edit {id} --args JSON"),
            format!("give it up: skillhost dlq discard {id}"),
        ],
        State::Waiting => vec![
            "wait: it is run again by itself".to_owned(),
            format!("run it now: skillhost dlq replay {id}"),
            format!("give it up: skillhost dlq discard {id}"),
        ],
        State::Running => vec!["wait: it runs now".to_owned()],
        State::RollingBack => vec![
            "wait: what it did is taken back".to_owned(),
            format!("see how far that is: skillhost saga show {id}"),
        ],
        _ => vec![format!("nothing is left to do; move it away: skillhost dlq archive {id}")],
    };
    Explained { id, state: standing.word.to_owned(), why, options, playbooks: None }
}

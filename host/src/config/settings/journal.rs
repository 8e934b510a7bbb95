//! The journal, dead letters and the admin API, checked.

use std::{path::PathBuf, time::Duration};

use skillhost_engine::SecretSource;
use skillhost_journal::{Bounds, OnExpiry, OnFull};
use skillhost_pipeline::{SagaSettings, TaskSettings};

use super::{
    grants::secret,
    values::{between, bytes, within},
};
use crate::config::{ConfigError, raw};

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Keys, durable calls and dead letters.
#[derive(Debug, Clone)]
pub(crate) struct JournalSettings {
    pub(crate) bounds: Bounds,
    pub(crate) max_size: u64,
    pub(crate) key_ttl: Duration,
    pub(crate) key_wait: Duration,
    pub(crate) keep: Duration,
    pub(crate) park_unknown: bool,
    pub(crate) concurrency: usize,
    pub(crate) archive_after: Duration,
    pub(crate) undo_patience: Duration,
    pub(crate) sagas: SagaSettings,
    pub(crate) answer_within: Duration,
    pub(crate) tasks: TaskSettings,
}

/// The admin API.
#[derive(Debug, Clone)]
pub(crate) struct AdminSettings {
    pub(crate) token: Option<SecretSource>,
}

pub(super) fn journal(
    journal: &raw::Journal,
    letters: &raw::DeadLetters,
    sagas: &raw::Sagas,
    tasks: &raw::Tasks,
) -> Result<JournalSettings, ConfigError> {
    let set = "filled";
    let max_size = match journal.max_size.expect(set).as_u64() {
        0 => 0,
        _ => bytes("journal.max_size", journal.max_size, 1 << 20, 1 << 40)? as u64,
    };
    Ok(JournalSettings {
        bounds: Bounds {
            capacity: within("dead_letters.capacity", letters.capacity.expect(set), 1, 10_000_000)?,
            on_full: match letters.on_full.expect(set) {
                raw::OnFull::Refuse => OnFull::Refuse,
                raw::OnFull::ArchiveOldest => OnFull::ArchiveOldest,
            },
            ageing: between("dead_letters.ageing", letters.ageing.expect(set), SECOND, YEAR)?,
        },
        max_size,
        key_ttl: between("journal.key_ttl", journal.key_ttl.expect(set), SECOND, YEAR)?,
        key_wait: between("journal.key_wait", journal.key_wait.expect(set), Duration::ZERO, SECOND * 600)?,
        keep: between("journal.keep", journal.keep.expect(set), SECOND, YEAR)?,
        park_unknown: letters.unknown_effects.expect(set),
        concurrency: within("dead_letters.concurrency", letters.concurrency.expect(set), 1, 1_000)?,
        archive_after: between(
            "dead_letters.archive_after",
            letters.archive_after.expect(set),
            SECOND,
            YEAR * 10,
        )?,
        undo_patience: between("sagas.patience", sagas.patience.expect(set), Duration::ZERO, SECOND * 600)?,
        sagas: self::sagas(sagas)?,
        answer_within: between("tasks.answer_within", tasks.answer_within.expect(set), SECOND, YEAR)?,
        tasks: TaskSettings {
            ttl: between("tasks.ttl", tasks.ttl.expect(set), SECOND * 60, YEAR)?,
            max_open: within("tasks.max_open", tasks.max_open.expect(set), 1, 1_000_000)?,
        },
    })
}

fn sagas(sagas: &raw::Sagas) -> Result<SagaSettings, ConfigError> {
    let set = "filled";
    let ttl = between("sagas.ttl", sagas.ttl.expect(set), SECOND, YEAR)?;
    Ok(SagaSettings {
        tools: sagas.tools.expect(set),
        ttl,
        max_ttl: between("sagas.max_ttl", sagas.max_ttl.expect(set), ttl, YEAR)?,
        max_open: within("sagas.max_open", sagas.max_open.expect(set), 1, 10_000)?,
        on_expiry: match sagas.on_expiry.expect(set) {
            raw::OnExpiry::Keep => OnExpiry::Keep,
            raw::OnExpiry::Rollback => OnExpiry::Rollback,
        },
    })
}

pub(super) fn admin(admin: &raw::Admin) -> Result<AdminSettings, ConfigError> {
    let token = admin.token.as_ref().map(|source| secret("admin.token", source)).transpose()?;
    Ok(AdminSettings { token })
}

impl AdminSettings {
    /// The token's file, which no skill may reach.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match &self.token {
            Some(SecretSource::File(path)) => Some(path.clone()),
            _ => None,
        }
    }
}

//! The tables, and which version of them a file has.

use rusqlite::{Connection, TransactionBehavior};

use crate::JournalError;

/// "sklj": a file of ours, by SQLite's `application_id`.
const APPLICATION: i32 = 0x736b_6c6a;

/// What makes version n + 1 of the tables out of version n. Only ever added to.
const MIGRATIONS: &[&str] = &[FIRST, SAGAS, ROUNDS, TASKS, PLAYBOOKS];

/// `open_letters` is kept by triggers, so that it cannot drift from what it counts. `letters` holds all
/// that letters are filtered by: a list looks up only the rows it shows. Long columns come last in `calls`.
const FIRST: &str = "
CREATE TABLE owners (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    lock TEXT NOT NULL UNIQUE,
    pid INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;

CREATE TABLE calls (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    due_at INTEGER,
    owner INTEGER,
    epoch INTEGER NOT NULL,
    skill TEXT NOT NULL,
    tool TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    pinned INTEGER NOT NULL DEFAULT 0,
    caller TEXT NOT NULL,
    correlation TEXT NOT NULL,
    key TEXT,
    durable INTEGER NOT NULL,
    safe INTEGER NOT NULL,
    park_unknown INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    max_tries INTEGER NOT NULL,
    gives_up_at INTEGER NOT NULL,
    begun_at INTEGER NOT NULL,
    ended_at INTEGER,
    enqueued_at INTEGER,
    dead_at INTEGER,
    retired INTEGER NOT NULL DEFAULT 0,
    kind TEXT,
    unknown_effect INTEGER NOT NULL DEFAULT 0,
    message TEXT,
    meta TEXT,
    arguments TEXT,
    sealed BLOB,
    outcome TEXT
) STRICT;
CREATE INDEX due ON calls (priority, due_at, id) WHERE state = 1;
CREATE INDEX held ON calls (owner) WHERE state = 0;
CREATE INDEX dead ON calls (dead_at, id) WHERE state = 2;
CREATE INDEX ended ON calls (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX letters ON calls (id, state, skill, tool, kind, priority, caller, enqueued_at, retired)
    WHERE enqueued_at IS NOT NULL;

CREATE TABLE keys (
    caller TEXT NOT NULL,
    tool TEXT NOT NULL,
    key TEXT NOT NULL,
    call BLOB NOT NULL CHECK (length(call) = 16),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (caller, tool, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX expiring ON keys (expires_at);

CREATE TABLE history (
    call BLOB NOT NULL,
    at INTEGER NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX history_of ON history (call);

CREATE TABLE counters (step INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
CREATE TRIGGER forgotten AFTER DELETE ON calls BEGIN
    DELETE FROM history WHERE call = old.id;
END;

CREATE TABLE open_letters (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL) STRICT;
INSERT INTO open_letters VALUES (1, 0);
CREATE TRIGGER letter_added AFTER INSERT ON calls
WHEN new.enqueued_at IS NOT NULL AND new.state <= 2 AND NOT new.retired BEGIN
    UPDATE open_letters SET n = n + 1;
END;
CREATE TRIGGER letter_changed AFTER UPDATE OF state, enqueued_at, retired ON calls
WHEN (old.enqueued_at IS NOT NULL AND old.state <= 2 AND NOT old.retired)
  <> (new.enqueued_at IS NOT NULL AND new.state <= 2 AND NOT new.retired) BEGIN
    UPDATE open_letters SET n = n + iif(new.enqueued_at IS NOT NULL AND new.state <= 2 AND NOT new.retired, 1, -1);
END;
CREATE TRIGGER letter_removed AFTER DELETE ON calls
WHEN old.enqueued_at IS NOT NULL AND old.state <= 2 AND NOT old.retired BEGIN
    UPDATE open_letters SET n = n - 1;
END;
";

/// What is taken back. A call that is a step has a row beside its own. Letters stay open while their call is taken back.
const SAGAS: &str = "
CREATE TABLE steps (
    call BLOB PRIMARY KEY CHECK (length(call) = 16),
    root BLOB NOT NULL CHECK (length(root) = 16),
    parent BLOB,
    saga BLOB,
    skill TEXT NOT NULL,
    changes INTEGER NOT NULL,
    undoable INTEGER NOT NULL,
    effect INTEGER NOT NULL DEFAULT 0,
    asked INTEGER NOT NULL DEFAULT 0,
    undo INTEGER,
    why TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX steps_of_root ON steps (root);
CREATE INDEX steps_of_saga ON steps (saga) WHERE saga IS NOT NULL;

CREATE TABLE tokens (
    call BLOB NOT NULL CHECK (length(call) = 16),
    attempt INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    token TEXT NOT NULL,
    PRIMARY KEY (call, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE sagas (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    held INTEGER NOT NULL,
    caller TEXT NOT NULL,
    label TEXT,
    state INTEGER NOT NULL,
    owner INTEGER,
    epoch INTEGER NOT NULL DEFAULT 0,
    begun_at INTEGER NOT NULL,
    expires_at INTEGER,
    on_expiry INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER,
    force INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    afterwards TEXT
) STRICT;
CREATE INDEX sagas_open ON sagas (caller) WHERE state = 0;
CREATE INDEX sagas_expiring ON sagas (expires_at) WHERE state = 0;
CREATE INDEX sagas_rolling ON sagas (owner, seq) WHERE state = 3;

DROP TRIGGER letter_added;
DROP TRIGGER letter_changed;
DROP TRIGGER letter_removed;
CREATE TRIGGER letter_added AFTER INSERT ON calls
WHEN new.enqueued_at IS NOT NULL AND new.state IN (0, 1, 2, 7) AND NOT new.retired BEGIN
    UPDATE open_letters SET n = n + 1;
END;
CREATE TRIGGER letter_changed AFTER UPDATE OF state, enqueued_at, retired ON calls
WHEN (old.enqueued_at IS NOT NULL AND old.state IN (0, 1, 2, 7) AND NOT old.retired)
  <> (new.enqueued_at IS NOT NULL AND new.state IN (0, 1, 2, 7) AND NOT new.retired) BEGIN
    UPDATE open_letters SET n = n
        + iif(new.enqueued_at IS NOT NULL AND new.state IN (0, 1, 2, 7) AND NOT new.retired, 1, -1);
END;
CREATE TRIGGER letter_removed AFTER DELETE ON calls
WHEN old.enqueued_at IS NOT NULL AND old.state IN (0, 1, 2, 7) AND NOT old.retired BEGIN
    UPDATE open_letters SET n = n - 1;
END;
";

/// Answers that were used.
const ROUNDS: &str = "
CREATE TABLE rounds (
    call BLOB NOT NULL CHECK (length(call) = 16),
    round INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (call, round)
) STRICT, WITHOUT ROWID;
CREATE INDEX rounds_expiring ON rounds (expires_at);
";

/// Handles of calls.
const TASKS: &str = "
CREATE TABLE tasks (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    caller TEXT NOT NULL,
    call BLOB NOT NULL CHECK (length(call) = 16),
    tool TEXT NOT NULL,
    state INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    request BLOB NOT NULL,
    asking BLOB,
    ended TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_open ON tasks (caller) WHERE state <= 1;
CREATE INDEX tasks_of_call ON tasks (call);
CREATE INDEX tasks_expiring ON tasks (expires_at);
";

/// When rules are to be asked about a letter, and what they did to it. `request` is there while a handler is to be called. Letters
/// of older files are asked about once there are rules.
const PLAYBOOKS: &str = "
ALTER TABLE calls ADD COLUMN ask_at INTEGER;
CREATE INDEX asking ON calls (ask_at) WHERE ask_at IS NOT NULL;

CREATE TABLE firings (
    call BLOB NOT NULL CHECK (length(call) = 16),
    rule TEXT NOT NULL,
    times INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    owner INTEGER,
    request TEXT,
    PRIMARY KEY (call, rule)
) STRICT, WITHOUT ROWID;
CREATE INDEX handling ON firings (owner) WHERE request IS NOT NULL;
CREATE TRIGGER firings_forgotten AFTER DELETE ON calls BEGIN
    DELETE FROM firings WHERE call = old.id;
END;
";

/// The version of a file that may be opened.
pub(super) fn look(db: &Connection, file: &str) -> Result<i64, JournalError> {
    // One snapshot: another process may be making the tables right now.
    let snapshot = db.unchecked_transaction().map_err(super::failed)?;
    version(&snapshot, file)
}

/// Make or renew the tables. A file of somebody else, or of a newer version, is left alone.
pub(super) fn ensure(db: &mut Connection, file: &str) -> Result<(), JournalError> {
    let newest = newest();
    if look(db, file)? == newest {
        return Ok(());
    }
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(super::failed)?;
    // Another process may have been first.
    let found = version(&change, file)?;
    for migration in &MIGRATIONS[usize::try_from(found).unwrap_or_default()..] {
        change.execute_batch(migration).map_err(super::failed)?;
    }
    change.pragma_update(None, "application_id", APPLICATION).map_err(super::failed)?;
    change.pragma_update(None, "user_version", newest).map_err(super::failed)?;
    change.commit().map_err(super::failed)
}

fn version(db: &Connection, file: &str) -> Result<i64, JournalError> {
    let newest = newest();
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(super::failed);
    let (version, application) = (pragma("user_version")?, pragma("application_id")?);
    let tables = || {
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
            .map_err(super::failed)
    };
    let ours = application == i64::from(APPLICATION);
    if !ours && (version != 0 || tables()? != 0) {
        return Err(JournalError::Refused(format!(
            "{file} is a database, but not a journal of skillhost; it was not touched\n  \
             hint: move it away, or choose another data folder with --data"
        )));
    }
    if version > newest || version < 0 {
        return Err(JournalError::Refused(format!(
            "{file} was written by a newer skillhost (version {version} of its tables, this one knows {newest}); it was not \
             touched\n  hint: run the newer skillhost, or choose another data folder with --data"
        )));
    }
    Ok(version)
}

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

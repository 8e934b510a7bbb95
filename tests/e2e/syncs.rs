//! An answer comes after a sync. A kill cannot show that, since the page cache outlives it: syncs are counted against
//! answers, with a journal that does not sync as the negative control.

use std::{path::Path, process::Command, sync::Arc};

use serde_json::json;
use skillhost_core::{CallId, Caller, Digest, SystemClock};
use skillhost_e2e::Syncs;
use skillhost_journal::{
    Arguments, Begun, Delivery, Ending, Intent, Journal as _, Key, Priority, Sqlite, SqliteSettings,
    Synchronous, Timestamp,
};

use crate::recovery::recording;

/// Says which part `child` plays, and in which folder.
const MODE: &str = "SKILLHOST_SYNCS";
const CALLS: u64 = 40;

fn intent() -> Intent {
    let id = CallId::new();
    Intent {
        again: false,
        id,
        tool: "a_b".into(),
        skill: "a".into(),
        digest: Digest::of(b""),
        caller: Caller::local(),
        correlation_id: id.to_string(),
        arguments: Arguments::default(),
        meta: None,
        delivery: Delivery::Durable,
        safe: true,
        priority: Priority::Normal,
        max_tries: 3,
        gives_up: Timestamp(u64::MAX >> 16),
        park_unknown: true,
        key: Some(Key {
            key: id.to_string(),
            fingerprint: Digest::of(b""),
            expires: Timestamp(u64::MAX >> 16),
        }),
        step: None,
    }
}

/// Not a test: what [`syncs`] runs in a process of its own.
#[tokio::test]
async fn child() {
    let Ok(said) = std::env::var(MODE) else { return };
    let (mode, folder) = said.split_once(' ').unwrap();
    let folder = Path::new(folder);
    let synchronous = if mode == "full" { Synchronous::Full } else { Synchronous::Off };
    let settings = SqliteSettings {
        synchronous,
        ..SqliteSettings::new(folder.join("journal.sqlite"), folder.join("run"))
    };
    let journal = Sqlite::open(settings, Arc::new(SystemClock)).await.unwrap();
    for n in 0..CALLS {
        let Begun::Yes(lease) = journal.begin(intent(), Timestamp(n)).await.unwrap() else {
            panic!("no lease")
        };
        journal
            .settle(lease, Ending::Done { outcome: "{}".into(), token: None, void: vec![] }, Timestamp(n))
            .await
            .unwrap();
    }
}

/// Syncs of a process that commits `2 * CALLS` times, one after the other.
fn syncs(mode: &str) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let counted = Syncs::new(folder.path());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["syncs::child", "--exact", "--nocapture"])
        .env(MODE, format!("{mode} {}", folder.path().display()));
    let output = counted.of(&mut command).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    counted.count()
}

#[test]
fn every_commit_is_synced_and_it_would_show_if_not() {
    let (full, off) = (syncs("full"), syncs("off"));
    assert!(full >= 2 * CALLS, "{full} syncs for {} commits", 2 * CALLS);
    assert!(off < CALLS, "the count must fall when nothing is synced: {off}");
}

#[test]
fn the_host_syncs_before_it_answers() {
    let host = recording("");
    // Nothing is to be made or compiled while it counts.
    drop(host.stdio());
    let counted = Syncs::new(host.root());
    let mut command = host.command(&["stdio"]);
    counted.of(&mut command);
    let mut client = host.client(command);
    client.call("faulty_echo", json!({}));
    let before = counted.count();
    for n in 0..CALLS {
        client.call("faulty_echo", json!({"n": n}));
    }
    assert_eq!(counted.count(), before, "a plain call writes nothing");
    for n in 1..=CALLS {
        let key = json!({"skillhost/idempotency_key": n.to_string()});
        client.call_with("faulty_echo", json!({"n": n}), key);
        // Before it began, and before it was answered.
        assert!(counted.count() >= before + 2 * n, "{} syncs for {n} answers", counted.count() - before);
    }
}

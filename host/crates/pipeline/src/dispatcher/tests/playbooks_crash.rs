//! The process ends at every point of every commit while rules act. The next one goes on: each rule has acted once on each
//! letter, and its tool took effect at most once; where it did not, that nobody knows is kept.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write as _, path::Path};

use skillhost_core::SystemClock;
use skillhost_journal::{Phase, Sealer, Sqlite, SqliteSettings, Synchronous};
use skillhost_policy::playbook::{Action, Playbook, When};

use super::{
    crash,
    keeping::*,
    playbooks::{failing, rule, tell},
    *,
};
use crate::{Recovery, RecoverySettings};

/// Says in which folder, and at which point the process ends; 0 is never.
const CHILD: &str = "SKILLHOST_CRASH_RULES";

fn rules() -> Vec<Playbook> {
    let of = |kind| When { kinds: vec![kind], ..failing() };
    vec![
        rule("tell", of(FailureKind::Permanent), tell()),
        rule("drop", of(FailureKind::Conflict), Action::Discard),
        rule("park", of(FailureKind::Transient), Action::Park),
    ]
}

/// A process: durable calls that fail, and the worker beside them.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(said) = std::env::var(CHILD) else { return };
    let (point, folder) = said.split_once(' ').unwrap();
    let (point, folder): (usize, _) = (point.parse().unwrap(), Path::new(folder).to_owned());
    let points = AtomicUsize::new(0);
    let observer = move |_: Phase| {
        if points.fetch_add(1, Ordering::SeqCst) + 1 == point {
            std::process::abort();
        }
    };
    let settings = SqliteSettings {
        synchronous: Synchronous::Off,
        observer: Some(Arc::new(observer)),
        ..SqliteSettings::new(folder.join("journal.sqlite"), folder.join("run"))
    };
    let journal = Arc::new(Sqlite::lazy(settings, Arc::new(SystemClock)));
    let sealer = Sealer::new(folder.join("journal.key"));
    let settings = RecoverySettings::new(folder.join("archive"));
    let recovery = Recovery::new(journal, sealer, Arc::new(SystemClock), settings);
    recovery.use_playbooks(rules().into());
    let effects = folder.join("effects");
    let bench = kept_with(plainly(), Arc::clone(&recovery), move |call| {
        let arguments: Value = serde_json::from_str(call.arguments.as_deref().unwrap()).unwrap();
        let effects = effects.clone();
        async move {
            if let Some(kind) = arguments["fails"].as_str() {
                return Err(Failure::new(FailureKind::from_code(kind).unwrap(), "as it was told"));
            }
            let mut file = OpenOptions::new().append(true).create(true).open(effects).unwrap();
            file.write_all(format!("{}\n", arguments["line"].as_str().unwrap()).as_bytes()).unwrap();
            Ok(text("done"))
        }
    });
    let _worker = bench.work_with(&recovery);
    for (n, kind) in ["permanent", "conflict", "transient", "permanent"].into_iter().enumerate() {
        // Once for each folder.
        if folder.join(format!("began{n}")).exists() {
            continue;
        }
        std::fs::write(folder.join(format!("began{n}")), "").unwrap();
        bench.dispatcher.call(durable("fake_run", json!({"fails": kind}))).await;
    }
    for _ in 0..1_000 {
        let db = rusqlite::Connection::open(folder.join("journal.sqlite")).unwrap();
        // What rules are to be asked about without having been, or are to be asked again, is none.
        let open: i64 = db
            .query_row(
                "SELECT (SELECT count(*) FROM calls WHERE state IN (0, 1) OR ask_at IS NOT NULL AND caller <> 'playbook') + \
                 (SELECT count(*) FROM firings WHERE request IS NOT NULL)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        if open == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come to rest");
}

#[test]
fn whenever_it_ends_each_rule_acts_once_and_its_tool_takes_effect_at_most_once() {
    let mut point = 0;
    loop {
        point += 1;
        let folder = tempfile::tempdir().unwrap();
        let aborted = crash::process("playbooks_crash", CHILD, folder.path(), point);
        assert!(!crash::process("playbooks_crash", CHILD, folder.path(), 0), "the next process goes on");
        let mut effects: BTreeMap<String, usize> = BTreeMap::new();
        for line in std::fs::read_to_string(folder.path().join("effects")).unwrap_or_default().lines() {
            *effects.entry(line.to_owned()).or_default() += 1;
        }
        let db = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
        // Each letter: its last failure, its state, how often which rule acted, and its history's lines of rules.
        let mut query = db
            .prepare(
                "SELECT c.id, c.message, c.kind, c.state, ifnull(f.rule, ''), ifnull(sum(f.times), 0), \
                 (SELECT group_concat(detail, '; ') FROM history h WHERE h.call = c.id AND h.step = 12) \
                 FROM calls c LEFT JOIN firings f ON f.call = c.id WHERE c.enqueued_at IS NOT NULL AND c.caller <> 'playbook' \
                 GROUP BY c.id",
            )
            .unwrap();
        let letters: Vec<(CallId, String, String, i64, String, i64, String)> = query
            .query_map([], |row| {
                Ok((
                    CallId::from_bytes(row.get(0)?),
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                ))
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for (id, message, kind, state, acted, times, lines) in letters {
            // Whose process died while it ran: no rule is about that.
            if message != "as it was told" {
                assert_eq!((times, state), (0, 2), "{point}: {message} {lines}");
                continue;
            }
            let (wanted, rests) = match kind.as_str() {
                "permanent" => ("tell", 2),
                "conflict" => ("drop", 6),
                _ => ("park", 2),
            };
            assert_eq!((&*acted, times, state), (wanted, 1, rests), "{point}: {kind} {lines}");
            let told = effects.get(&format!("told {id}")).copied().unwrap_or_default();
            match (wanted, told) {
                // That it acted, and what came of it, each once.
                ("tell", 1) => assert_eq!(lines.matches("by playbook").count(), 2, "{point}: {lines}"),
                // Ended between the intent and the effect.
                ("tell", 0) => assert!(lines.contains("that is parked"), "{point}: {lines}"),
                ("tell", n) => panic!("{point}: {n} times: {lines}"),
                (_, n) => assert_eq!(n, 0, "{point}"),
            }
        }
        if !aborted {
            break;
        }
    }
    assert!(point > 20, "there were only {point} points");
}

//! The process ends at every point of every commit: before it reaches the disk, and after it did but before anybody was
//! told. Another one comes, and nothing is lost and nothing happens twice. Effects are counted in a file of their own.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write as _, path::Path, process::Command};

use skillhost_core::SystemClock;
use skillhost_journal::{Phase, Sealer, Sqlite, SqliteSettings, Synchronous};

use super::{keeping::*, *};
use crate::{Recovery, RecoverySettings};

/// Says in which folder, and at which point the process ends; 0 is never.
const CHILD: &str = "SKILLHOST_CRASH";

/// A process: calls that are keyed, durable and plain, one after the other, and the worker beside them.
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
        // An abort leaves the page cache alone.
        synchronous: Synchronous::Off,
        observer: Some(Arc::new(observer)),
        ..SqliteSettings::new(folder.join("journal.sqlite"), folder.join("run"))
    };
    let journal = Arc::new(Sqlite::lazy(settings, Arc::new(SystemClock)));
    let recovery = Recovery::new(
        journal,
        Sealer::new(folder.join("journal.key")),
        Arc::new(SystemClock),
        RecoverySettings::new(folder.join("archive")),
    );
    let effects = folder.join("effects");
    let bench = kept_with(plainly_soon(), Arc::clone(&recovery), move |call| {
        let arguments: Value = serde_json::from_str(call.arguments.as_deref().unwrap()).unwrap();
        // The first runs of some fail.
        let failures = arguments["failures"].as_u64().unwrap_or(0);
        let effects = effects.clone();
        async move {
            if u64::from(call.attempt) <= failures {
                return Err(Failure::new(FailureKind::Transient, "not yet"));
            }
            let mut file = OpenOptions::new().append(true).create(true).open(effects).unwrap();
            // In one piece: others write at the same time.
            file.write_all(format!("{}\n", arguments["line"].as_str().unwrap()).as_bytes()).unwrap();
            match arguments["trap"].as_bool() {
                Some(true) => Err(Failure::new(FailureKind::Trap, "after it")),
                _ => Ok(text("done")),
            }
        }
    });
    let _worker = bench.work_with(&recovery);
    let say = |line: String| {
        let mut file = OpenOptions::new().append(true).create(true).open(folder.join("answers")).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    };
    for n in 0..3 {
        let line = format!("key{n}");
        let response = bench.dispatcher.call(keyed("fake_run", json!({"line": line}), &line)).await;
        let word = match (&response.standing, &response.result) {
            (Some(standing), _) => standing.word,
            (None, Ok(_)) => "done",
            (None, Err(failure)) => panic!("{failure}"),
        };
        say(format!("{line} {word} {}", response.id));
        // Once for each folder: there is no key that would tell them apart.
        if folder.join(format!("began{n}")).exists() {
            continue;
        }
        std::fs::write(folder.join(format!("began{n}")), "").unwrap();
        let line = format!("durable{n}");
        let request = durable("fake_same", json!({"line": line, "failures": n}));
        let response = bench.dispatcher.call(request).await;
        if response.result.is_ok() {
            say(format!("{line} accepted {}", response.id));
        }
        let line = format!("plain{n}");
        let response = bench.call_with("fake_run", json!({"line": line, "trap": true})).await;
        if let Some(standing) = response.standing {
            say(format!("{line} {} {}", standing.word, response.id));
        }
    }
    // Until the queue is at rest.
    for _ in 0..1_000 {
        // In one look, and with what a dead process left and nobody has looked at yet.
        let db = rusqlite::Connection::open(folder.join("journal.sqlite")).unwrap();
        let open: i64 =
            db.query_row("SELECT count(*) FROM calls WHERE state IN (0, 1)", [], |row| row.get(0)).unwrap();
        if open == 0 {
            say("rest".into());
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the queue does not come to rest");
}

/// As [`plainly`], but letters come back at once.
fn plainly_soon() -> Policies {
    let mut policies = plainly();
    let mut skill = (*policies.defaults).clone();
    let mut tool = (*skill.defaults).clone();
    tool.redelivery.retry.delays = Delays::Listed(Arc::new([Duration::from_millis(1)]));
    // However often the process ends in the middle.
    tool.redelivery.retry.attempts = 10;
    skill.defaults = Arc::new(tool);
    policies.defaults = Arc::new(skill);
    policies
}

/// Run the test `child` of the module `of` in a process that ends at a point of a commit, or, at 0, goes on to its end. `variable`
/// tells it. Whether it was ended.
pub(super) fn process(of: &str, variable: &str, folder: &Path, point: usize) -> bool {
    let child = format!("dispatcher::tests::{of}::child");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([&child, "--exact", "--test-threads=1"])
        .env(variable, format!("{point} {}", folder.display()));
    let output = command.output().unwrap();
    let aborted = output.status.code().is_none();
    assert!(aborted || output.status.success(), "at {point}: {}", String::from_utf8_lossy(&output.stdout));
    aborted
}

#[test]
fn whenever_it_ends_nothing_is_lost_and_nothing_happens_twice() {
    let mut point = 0;
    loop {
        point += 1;
        let folder = tempfile::tempdir().unwrap();
        let aborted = process("crash", CHILD, folder.path(), point);
        assert!(!process("crash", CHILD, folder.path(), 0), "the next process goes on");
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let mut effects: BTreeMap<String, usize> = BTreeMap::new();
        for line in read("effects").lines() {
            *effects.entry(line.to_owned()).or_default() += 1;
        }
        let mut done: BTreeMap<String, String> = BTreeMap::new();
        for line in read("answers").lines().filter(|line| *line != "rest") {
            let mut words = line.split(' ');
            let (name, word, id) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let count = effects.get(name).copied().unwrap_or_default();
            match word {
                // Acknowledged once is acknowledged for ever, as the same call.
                "done" => {
                    assert_eq!(
                        done.entry(name.to_owned()).or_insert_with(|| id.to_owned()),
                        id,
                        "{point}: {name}"
                    );
                    assert_eq!(count, 1, "{point}: {name} was acknowledged");
                }
                "parked" => assert!(!done.contains_key(name), "{point}: {name} was acknowledged, now parked"),
                "accepted" => assert!(count >= 1, "{point}: {name} was accepted and never happened"),
                other => panic!("{point}: {name} is {other}"),
            }
        }
        for (name, count) in &effects {
            assert!(*count == 1 || name.starts_with("durable"), "{point}: {name} took effect {count} times");
        }
        let db = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
        let held: i64 =
            db.query_row("SELECT count(*) FROM calls WHERE state = 0", [], |row| row.get(0)).unwrap();
        assert_eq!(held, 0, "{point}: a lease is held by nobody who lives");
        let keys: i64 = db.query_row("SELECT count(*) FROM keys", [], |row| row.get(0)).unwrap();
        assert_eq!(keys, 3, "{point}");
        if !aborted {
            break;
        }
    }
    // Two for each commit: three keyed calls alone have twelve.
    assert!(point > 20, "there were only {point} points");
}

//! What the journal costs, side by side in one run: commits shared by many callers against single ones on the same disk;
//! and whether a long queue stays as quick as a short one. Prints a line each; ratios are what counts.
#![expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{executor::block_on, future::join_all};
use skillhost_core::{CallId, Caller, Digest, SystemClock};
use skillhost_journal::{
    Arguments, Begun, Bounds, Delivery, Ending, Filter, Intent, Journal as _, Key, PageOf, Priority, Problem,
    Sqlite, SqliteSettings, State, Timestamp,
};

const FOR: Duration = Duration::from_secs(3);
const LETTERS: u64 = 100_000;

fn open(folder: &Path) -> Sqlite {
    let bounds = Bounds { capacity: 10_000_000, ..Bounds::default() };
    let settings =
        SqliteSettings { bounds, ..SqliteSettings::new(folder.join("journal.sqlite"), folder.join("run")) };
    block_on(Sqlite::open(settings, Arc::new(SystemClock))).expect("it opens")
}

fn intent(n: u64, keyed: bool) -> Intent {
    let id = CallId::new();
    Intent {
        again: false,
        id,
        tool: format!("skill{}_tool", n % 10),
        skill: format!("skill{}", n % 10),
        digest: Digest::of(b""),
        caller: Caller::local(),
        correlation_id: id.to_string(),
        arguments: Arguments { shown: Some(format!(r#"{{"text":"{}"}}"#, "x".repeat(500))), sealed: None },
        meta: None,
        delivery: Delivery::Durable,
        safe: true,
        priority: Priority::ALL[(n % 4) as usize],
        max_tries: 3,
        gives_up: Timestamp(1 << 50),
        park_unknown: true,
        key: keyed.then(|| Key {
            key: id.to_string(),
            fingerprint: Digest::of(b""),
            expires: Timestamp(1 << 50),
        }),
        step: None,
    }
}

/// One call: its intent and its key, then its outcome.
async fn call(journal: &Sqlite, n: u64) {
    let begun = journal.begin(intent(n, true), Timestamp(n)).await.expect("it begins");
    let Begun::Yes(lease) = begun else { panic!("{begun:?}") };
    let outcome = Ending::Done { outcome: r#"{"content":[]}"#.into(), token: None, void: vec![] };
    journal.settle(lease, outcome, Timestamp(n)).await.expect("it is settled");
}

/// Calls a second, and commits a second that made them.
fn rate(callers: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let commits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&commits);
    let settings = SqliteSettings {
        bounds: Bounds { capacity: 10_000_000, ..Bounds::default() },
        observer: Some(Arc::new(move |phase| {
            if let skillhost_journal::Phase::After(_) = phase {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        })),
        ..SqliteSettings::new(folder.path().join("journal.sqlite"), folder.path().join("run"))
    };
    let journal = block_on(Sqlite::open(settings, Arc::new(SystemClock))).expect("it opens");
    let (done, began) = (AtomicU64::new(0), Instant::now());
    let caller = |_| async {
        while began.elapsed() < FOR {
            call(&journal, done.fetch_add(1, Ordering::Relaxed)).await;
        }
    };
    block_on(join_all((0..callers).map(caller)));
    let took = began.elapsed().as_secs_f64();
    (done.load(Ordering::Relaxed) as f64 / took, commits.load(Ordering::Relaxed) as f64 / took)
}

/// Single commits of a row of a kilobyte, by SQLite alone, synced the same.
fn single() -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let db = rusqlite::Connection::open(folder.path().join("single.sqlite")).expect("it opens");
    db.pragma_update(None, "journal_mode", "wal").expect("wal");
    db.pragma_update(None, "synchronous", "full").expect("full");
    db.execute_batch("CREATE TABLE t (a BLOB)").expect("a table");
    let (mut done, began) = (0, Instant::now());
    while began.elapsed() < FOR {
        db.execute("INSERT INTO t VALUES (randomblob(1024))", []).expect("a row");
        done += 1;
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}

/// Resident memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    kib / 1024.0
}

/// The median of many, in milliseconds.
fn median(times: usize, mut work: impl FnMut()) -> f64 {
    let mut all: Vec<_> = (0..times)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    all.sort();
    all[times / 2].as_secs_f64() * 1e3
}

fn main() {
    let single = single();
    println!("single commits                {single:>9.0} a second");
    for callers in [1, 8, 64] {
        let (calls, commits) = rate(callers);
        println!(
            "journalled calls, {callers:>2} callers {calls:>9.0} a second, {:.1} writes a commit; {:.1} x single commits",
            2.0 * calls / commits,
            2.0 * calls / single
        );
    }

    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path());
    let now = Timestamp(LETTERS * 2);
    println!("memory with no letter         {:>9.1} MiB", resident());
    for chunk in 0..LETTERS / 1_000 {
        let fill = |n: u64| {
            let journal = &journal;
            async move {
                let n = chunk * 1_000 + n;
                let Ok(Begun::Yes(lease)) = journal.begin(intent(n, false), Timestamp(n)).await else {
                    panic!()
                };
                let problem = Problem {
                    kind: "transient".into(),
                    message: "no such luck".into(),
                    unknown_effect: false,
                };
                let ending = match n % 3 {
                    0 => Ending::Parked(problem),
                    _ => Ending::Again { problem, due: Timestamp(n + LETTERS), spent: true },
                };
                journal.settle(lease, ending, Timestamp(n)).await.expect("it is settled");
            }
        };
        block_on(join_all((0..1_000).map(fill)));
    }
    println!("memory with {LETTERS} letters    {:>9.1} MiB", resident());
    let claimed = median(200, || {
        let claimed = block_on(journal.claim(1, now)).expect("a letter");
        assert_eq!(claimed.len(), 1);
    });
    println!("claim the next due            {claimed:>9.2} ms");
    let filter = Filter {
        states: vec![State::Parked],
        skill: Some("skill7".into()),
        kind: Some("transient".into()),
        since: Some(Timestamp(LETTERS / 2)),
        ..Filter::default()
    };
    let page = PageOf { after: None, limit: 100 };
    let listed = median(50, || {
        let found = block_on(journal.letters(filter.clone(), page)).expect("a page");
        assert_eq!(found.letters.len(), 100);
    });
    println!("a filtered list of 100        {listed:>9.2} ms");
    let none = Filter { tool: Some("no such tool".into()), ..Filter::default() };
    let missed = median(50, || drop(block_on(journal.letters(none.clone(), page)).expect("a page")));
    println!("a filter that fits none       {missed:>9.2} ms");
    let text = Filter { text: Some("other".into()), ..Filter::default() };
    let read = median(10, || drop(block_on(journal.letters(text.clone(), page)).expect("a page")));
    println!("a text that is nowhere        {read:>9.2} ms");
    let counted = median(20, || drop(block_on(journal.stats()).expect("figures")));
    println!("stats                         {counted:>9.2} ms");
    println!("memory at the end             {:>9.1} MiB", resident());
    drop(journal);
    let again = median(3, || drop(open(folder.path())));
    println!("open and check                {again:>9.2} ms");
}

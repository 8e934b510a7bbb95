//! Instructions of one call, counted by callgrind against `counts.json`: what makes calls dearer is seen on any machine, however
//! busy it is. The pipeline runs on an engine that answers at once; the engine runs a component of a few lines.
//!
//! Counts are those of the development profile, which the other tests are built with. `SKILLHOST_COUNT=1` compares them, with
//! `UPDATE_DOCS=1` beside it they are written anew; valgrind must be there.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program of its own")]

mod engine;
mod pipeline;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// More than this beside what is written down is a fault.
const TOLERANCE: f64 = 0.04;
/// What starting costs is in both, and so not in their difference.
const CALLS: [u32; 2] = [100, 600];

/// Makes so many calls.
type Run = fn(u32);

const SUBJECTS: [(&str, Run); 5] = [
    ("pipeline, policies off", pipeline::off),
    ("pipeline, default policies", pipeline::defaults),
    ("pipeline, all policies", pipeline::all),
    ("pipeline, kept result", pipeline::kept),
    ("engine", engine::run),
];

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [word, subject, calls] = &args[..]
        && word == "--run"
    {
        let (_, run) = SUBJECTS.iter().find(|(name, _)| name == subject).expect("a subject");
        run(calls.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    if env::var_os("SKILLHOST_COUNT").is_some() {
        return judge();
    }
    // Counts of another C library are others: they are compared where that is asked for, and everywhere it is seen that there
    // is something to count.
    for (_, run) in SUBJECTS {
        run(2);
    }
    println!("nothing is counted without SKILLHOST_COUNT=1");
    ExitCode::SUCCESS
}

/// Count all, and compare.
fn judge() -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("counted/counts.json");
    let known: BTreeMap<String, u64> =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut found = BTreeMap::new();
    let mut code = ExitCode::SUCCESS;
    for (subject, _) in SUBJECTS {
        let count = counted(subject);
        let before = known.get(subject).copied();
        let change = before.map_or(f64::INFINITY, |before| count as f64 / before as f64 - 1.0);
        println!("{subject:32} {count:>9} instructions a call, {:+.1} %", change * 100.0);
        // Also what has become cheaper: it could be lost again unseen.
        if change.abs() > TOLERANCE {
            code = ExitCode::FAILURE;
        }
        found.insert(subject.to_owned(), count);
    }
    if env::var_os("UPDATE_DOCS").is_some() {
        let text = serde_json::to_string_pretty(&found).expect("it is plain");
        fs::write(&file, text + "\n").expect("written");
        return ExitCode::SUCCESS;
    }
    if code == ExitCode::FAILURE {
        eprintln!(
            "calls cost something else than tests/counted/counts.json says. Find out by what \
             (valgrind --tool=callgrind, callgrind_annotate), or, where it is worth it, write the new counts down with SKILLHOST_COUNT=1 UPDATE_DOCS=1"
        );
    }
    code
}

/// Instructions of one call.
fn counted(subject: &str) -> u64 {
    let [few, many] = CALLS.map(|calls| total(subject, calls));
    (many - few) / u64::from(CALLS[1] - CALLS[0])
}

/// Instructions of this program with so many calls.
fn total(subject: &str, calls: u32) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let program: PathBuf = env::current_exe().expect("this program");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["--run", subject, &calls.to_string()])
        // The same hashes and stack on each machine as far as we can.
        .env_clear()
        .env("TMPDIR", folder.path())
        .status()
        .expect("valgrind is there");
    assert!(status.success(), "{subject}: {status}");
    let text = fs::read_to_string(&out).expect("callgrind writes");
    let line = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    line.expect("a total").split_whitespace().next().expect("a number").parse().expect("a number")
}

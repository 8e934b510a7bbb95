//! What became of cases, for people and for programs.

use std::{fs, path::Path};

use anyhow::Context as _;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::{case::Case, run::Ran};
use crate::cli::out;

/// One case, in the lines of a terminal.
pub(super) fn lines(case: &Case, ran: &Ran) -> String {
    let took = ran.took.as_millis();
    if ran.problems.is_empty() {
        return format!("ok      {} ({took} ms)\n", out::harmless(&case.name));
    }
    let mut text = format!("FAILED  {} ({took} ms)\n  {}\n", out::harmless(&case.name), case.at);
    for problem in &ran.problems {
        for line in out::harmless(problem).lines() {
            text.push_str(&format!("  {line}"));
            text.push('\n');
        }
    }
    text
}

pub(super) fn described(skill: &str, all: &[(Case, Ran)]) -> Value {
    let cases = all.iter().map(|(case, ran)| {
        json!({
            "name": case.name,
            "at": case.at,
            "passed": ran.problems.is_empty(),
            "problems": ran.problems,
            "took_ms": ran.took.as_secs_f64() * 1e3,
        })
    });
    let failed = failed(all);
    json!({"skill": skill, "passed": all.len() - failed, "failed": failed, "cases": cases.collect::<Vec<_>>()})
}

pub(super) fn failed(all: &[(Case, Ran)]) -> usize {
    all.iter().filter(|(_, ran)| !ran.problems.is_empty()).count()
}

/// Write them as JUnit wants them.
pub(super) fn junit(file: &Path, skill: &str, all: &[(Case, Ran)]) -> anyhow::Result<()> {
    let mut suite = TestSuite::new(skill);
    for (case, ran) in all {
        let status = if ran.problems.is_empty() {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let first = ran.problems[0].lines().next().unwrap_or_default();
            status.set_message(first).set_description(format!("{}\n{}", case.at, ran.problems.join("\n")));
            status
        };
        let mut test = TestCase::new(&*case.name, status);
        test.set_classname(skill).set_time(ran.took);
        suite.add_test_case(test);
    }
    let mut report = Report::new("skillhost test");
    report.add_test_suite(suite);
    let text = report.to_string().context("the report cannot be written as XML")?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

//! What was measured, as a table for people and as JSON.

use std::{fmt::Write as _, fs, process::Command};

use serde::Serialize;

/// Everything that one run measured.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// Rounds of which each figure is the median.
    rounds: usize,
    pub(crate) sections: Vec<Section>,
}

/// Figures that belong together.
#[derive(Serialize)]
pub(crate) struct Section {
    id: &'static str,
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// None where a column does not apply.
    values: Vec<Option<f64>>,
}

/// Where it ran: figures of two machines say little side by side, their ratios more.
#[derive(Serialize)]
struct Machine {
    date: String,
    commit: String,
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    rustc: String,
}

impl Report {
    pub(crate) fn new(rounds: usize) -> Self {
        Self { machine: Machine::this(), rounds, sections: vec![] }
    }

    /// What is promised, as far as it was measured: a row a budget.
    pub(crate) fn budgets(&self) -> Section {
        let mut budgets = Section::new("budgets", "Budgets", &["measured", "budget", "met (1) or not (0)"]);
        let of = |id: &str, row: &str, column: usize| {
            let section = self.sections.iter().find(|section| section.id == id)?;
            section.rows.iter().find(|known| known.name == row)?.values[column]
        };
        let at_most = |most: f64| move |value: f64| (most, value <= most);
        let at_least = |least: f64| move |value: f64| (least, value >= least);
        let mut row = |name: &str, measured: Option<f64>, judge: &dyn Fn(f64) -> (f64, bool)| {
            if let Some(measured) = measured {
                let (budget, met) = judge(measured);
                budgets.row(name, [Some(measured), Some(budget), Some(f64::from(u8::from(met)))]);
            }
        };
        for at_once in [1, 8] {
            row(
                &format!("a call with all policies, {at_once} at once, times bare wasmtime, at most"),
                of("a", &format!("pipeline, default policies, {at_once} at once"), 3),
                &at_most(1.25),
            );
        }
        row(
            "calls/s over HTTP at 8 connections, of native, at least",
            of("b", "HTTP, 8 connections", 2),
            &at_least(0.8),
        );
        row("first list of 100 skills, compiled, ms, at most", of("c", "100 skills", 1), &at_most(500.0));
        // What starting leaves behind is shared by all of them.
        let held =
            |column| [1_000, 100].iter().find_map(|n| of("d", &format!("{n} skills, none called"), column));
        row("a skill that is not called, KiB, at most", held(1), &at_most(256.0));
        row("the same without pages of files", held(2), &at_most(256.0));
        row(
            "journalled calls, 64 connections, times single commits, at least",
            of("f", "64 connections", 4),
            &at_least(30.0),
        );
        row("p99 beside two that loop, of quiet, at most", of("h", "two that loop", 3), &at_most(8.0));
        row(
            "lateness of a deadline, two that loop, worst, ms, at most",
            of("h", "two that loop", 6),
            &at_most(5.0),
        );
        budgets
    }

    /// The tables, in Markdown.
    pub(crate) fn tables(&self) -> String {
        let Machine { date, commit, cpu, cores, memory_gib, kernel, rustc } = &self.machine;
        let mut text = format!(
            "{date}, commit {commit}: {cores} × {cpu}, {memory_gib:.0} GiB, Linux {kernel}, {rustc}. Medians of {} interleaved rounds; \
             the clients run on the same cores.\n",
            self.rounds
        );
        for section in &self.sections {
            section.write(&mut text);
        }
        text
    }
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &'static str, columns: &[&'static str]) -> Self {
        Self { id, title, columns: columns.to_vec(), rows: vec![], notes: vec![] }
    }

    pub(crate) fn row(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = Option<f64>>) {
        let row = Row { name: name.into(), values: values.into_iter().collect() };
        assert_eq!(row.values.len(), self.columns.len(), "{}", row.name);
        eprintln!("  {:44} {}", row.name, row.values.iter().map(|v| shown(*v) + "  ").collect::<String>());
        self.rows.push(row);
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn write(&self, text: &mut String) {
        let line = |cells: &mut dyn Iterator<Item = String>| {
            cells.fold("|".to_owned(), |line, cell| format!("{line} {cell} |")) + "\n"
        };
        let _ = write!(text, "\n## ({}) {}\n\n", self.id, self.title);
        let heads = self.columns.iter().map(|column| (*column).to_owned());
        *text += &line(&mut std::iter::once(String::new()).chain(heads));
        *text += &line(&mut std::iter::once("---".into()).chain(self.columns.iter().map(|_| "--:".into())));
        for row in &self.rows {
            let values = row.values.iter().map(|value| shown(*value));
            *text += &line(&mut std::iter::once(row.name.clone()).chain(values));
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
    }
}

/// Three digits that count.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value.abs() >= 10_000.0 => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (n, digit) in digits.chars().enumerate() {
                if n > 0 && (digits.len() - n) % 3 == 0 {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) if value == 0.0 || value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

impl Machine {
    fn this() -> Self {
        let field = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kib = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            date: said("date", &["-u", "+%F %H:%M"]),
            commit: said("git", &["rev-parse", "--short=12", "HEAD"]),
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib / f64::from(1 << 20),
            kernel: kernel.trim().to_owned(),
            rustc: said("rustc", &["--version"]),
        }
    }
}

/// What a program prints, if it is there.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

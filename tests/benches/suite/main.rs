//! What the host costs, side by side in one run. `cargo bench -p skillhost-e2e --bench suite -- --help` tells how to ask for less.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures, for whoever runs it"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

mod bare;
mod bounds;
mod client;
mod growth;
mod hosts;
mod interpreters;
mod journalled;
mod layers;
mod measure;
mod native;
mod neighbours;
mod report;
mod starts;
mod telemetry;
mod transports;

use std::{fs, path::PathBuf, time::Duration};

use clap::Parser;
use report::{Report, Section};

/// The host's, on all sides: it is not what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure the host against what it stands on.
#[derive(Parser)]
struct Args {
    /// Sections to measure, such as `ab`; all by default.
    #[arg(long, default_value = "abcdefghij")]
    only: String,
    /// Rounds; each figure is their median.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each is measured in a round, in milliseconds.
    #[arg(long, default_value_t = 700)]
    time: u64,
    /// The most skills that a host is given: 1, 100 or 1000. A thousand are compiled once, which takes minutes.
    #[arg(long, default_value_t = 1_000)]
    skills: usize,
    /// Write NAME.md and NAME.json into docs/benchmarks.
    #[arg(long, value_name = "NAME")]
    write: Option<String>,
    /// Be the native server.
    #[arg(long, hide = true)]
    native: Option<String>,
    /// What cargo says to each benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    if let Some(transport) = &args.native {
        return native::serve(transport);
    }
    let mut report = Report::new(args.rounds);
    let time = Duration::from_millis(args.time);
    for id in args.only.chars() {
        eprintln!("({id})");
        let section: Section = match id {
            'a' => layers::run(args.rounds, time),
            'b' => transports::run(args.rounds, time),
            'c' => starts::cold(args.rounds, args.skills),
            'd' => starts::held(args.skills),
            'e' => growth::run(args.rounds, time, args.skills),
            'f' => journalled::run(args.rounds, time),
            'g' => interpreters::run(args.rounds, time),
            'h' => neighbours::run(args.rounds, time),
            'i' => telemetry::run(args.rounds, time),
            'j' => bounds::run(args.rounds, time),
            other => panic!("there is no section `{other}`"),
        };
        report.sections.push(section);
    }
    let budgets = report.budgets();
    report.sections.insert(0, budgets);
    let tables = report.tables();
    println!("{tables}");
    if let Some(name) = args.write {
        let folder: PathBuf = skillhost_e2e::repo().join("docs/benchmarks");
        fs::create_dir_all(&folder).expect("a folder");
        let json = serde_json::to_string_pretty(&report).expect("it is plain");
        fs::write(folder.join(format!("{name}.json")), json + "\n").expect("written");
        fs::write(folder.join(format!("{name}.md")), format!("# Benchmarks: {name}\n\n{tables}"))
            .expect("written");
    }
}

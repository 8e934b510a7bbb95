//! (e) What stays flat, and what grows, with skills, callers, payloads and depth.

use std::{path::Path, time::Duration};

use serde_json::json;

use crate::{
    client::{Request, memory},
    hosts::{Native, Serving, host_with},
    measure::{Load, Variant, interleaved, of, ratio},
    native::ECHO,
    report::Section,
};

const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-many");
const CONFIG: &str = "[engine]\ncache_size = \"8 GiB\"\n[server]\nmax_request = \"16 MiB\"\nmax_arguments = \"16 MiB\"\n\
                      [skills.bench]\nresult = \"64 MiB\"\nconcurrency = \"off\"\n";

pub(crate) fn run(rounds: usize, time: Duration, most: usize) -> Section {
    let columns = ["calls/s", "µs p50", "µs p99", "ratio"];
    let mut section = Section::new("e", "Growth: what one call costs beside more of everything", &columns);
    let request = Request::echo(ECHO, "a b");
    let row = |section: &mut Section, name: String, samples: &[Load], to: &[Load]| {
        section.row(
            name,
            [
                of(samples, Load::per_second),
                of(samples, |load| load.quantile(0.5)),
                of(samples, |load| load.quantile(0.99)),
                ratio(samples, to, Load::per_second),
            ],
        );
    };
    let counts: Vec<_> = [1, 100, 1_000].into_iter().filter(|skills| *skills <= most).collect();
    let hosts: Vec<_> =
        counts.iter().map(|n| Serving::of(host_with(*n, Some(Path::new(CACHE)), CONFIG))).collect();
    let mut variants: Vec<_> = hosts
        .iter()
        .zip(&counts)
        .map(|(host, n)| {
            Variant::new(format!("{n} skills of 20 tools"), || host.target.load(&request, 8, time))
        })
        .collect();
    let all = interleaved(rounds, &mut variants);
    for (variant, samples) in variants.iter().zip(&all) {
        row(&mut section, variant.name.clone(), samples, &all[0]);
    }
    drop(variants);
    drop(hosts);

    let grants: String =
        (1..=4).map(|n| format!("[skills.bench{n}.grants]\ntools = [\"bench*\"]\n")).collect();
    let serving = Serving::of(host_with(5, Some(Path::new(CACHE)), &(CONFIG.to_owned() + &grants)));
    let mut variants: Vec<_> = [1, 8, 64, 256, 1_024]
        .into_iter()
        .map(|callers| {
            let (serving, request) = (&serving, &request);
            Variant::new(format!("{callers} connections"), move || {
                serving.target.load(request, callers, time)
            })
        })
        .collect();
    let before = memory(serving.target.pid).resident;
    let all = interleaved(rounds, &mut variants);
    for (variant, samples) in variants.iter().zip(&all) {
        row(&mut section, variant.name.clone(), samples, &all[1]);
    }
    drop(variants);
    let after = memory(serving.target.pid).resident;
    section.note(format!(
        "Resident before and after these callers: {:.0} and {:.0} MiB.",
        before / 1024.0,
        after / 1024.0
    ));

    if rlimit() > CROWD + 1_000 {
        crowd(&mut section, &serving, rounds);
    } else {
        section.note(format!(
            "{CROWD} callers at once: not measured, since so many files may not be open (`ulimit -n`)."
        ));
    }
    let native = Native::start();
    for (name, size) in [("1 KiB", 1 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20), ("4 MiB", 4 << 20)] {
        let request = Request::echo(ECHO, &"x".repeat(size));
        let mut both = [
            Variant::new("native", || native.target.load(&request, 2, time)),
            Variant::new("skillhost", || serving.target.load(&request, 2, time)),
        ];
        let all = interleaved(rounds, &mut both);
        row(&mut section, format!("payload {name}, against native"), &all[1], &all[0]);
    }
    let depths = [0, 1, 2, 4];
    let mut variants: Vec<_> = depths
        .into_iter()
        .map(|depth| {
            let name = if depth == 0 { "bench_nest".to_owned() } else { format!("bench{depth}_nest") };
            let request = Request::new(&name, json!({"n": depth}));
            let serving = &serving;
            Variant::new(format!("nested {depth} deep"), move || serving.target.load(&request, 1, time))
        })
        .collect();
    let all = interleaved(rounds, &mut variants);
    for (variant, samples) in variants.iter().zip(&all) {
        row(&mut section, variant.name.clone(), samples, &all[0]);
    }
    section
}

/// Callers that all ask at once.
const CROWD: u64 = 10_000;

fn crowd(section: &mut Section, serving: &Serving, rounds: usize) {
    // Each holds an instance for that many milliseconds, so that most of them wait.
    let request = Request::new("bench_hold", json!({"n": 50}));
    let pid = serving.target.pid;
    let before = memory(pid);
    let mut most: f64 = 0.0;
    let samples: Vec<_> = (0..rounds)
        .map(|_| serving.target.crowd(&request, CROWD as usize, || most = most.max(memory(pid).resident)))
        .collect();
    let took = of(&samples, |load| load.took.as_secs_f64() * 1e3).unwrap_or(f64::NAN);
    section.note(format!(
        "{CROWD} connections that ask at once, {rounds} times: all are answered, the last one after {took:.0} ms. Resident \
         before, when all had asked, and after: {:.0}, {:.0} and {:.0} MiB.",
        before.resident / 1024.0,
        most / 1024.0,
        memory(pid).resident / 1024.0
    ));
}

/// Files that this process may have open, and a host that it starts as well.
fn rlimit() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(u64::MAX)
}

//! (h) A good skill beside bad ones: its latency, and whether deadlines are kept.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;
use skillhost_e2e::component;

use crate::{
    client::Request,
    hosts::{Serving, bench_host},
    measure::{Load, Variant, interleaved, of, ratio},
    report::Section,
};

/// What the looping skill is ended after.
const TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) fn run(rounds: usize, time: Duration) -> Section {
    let columns =
        ["p50 µs", "p99 µs", "worst µs", "p99 to quiet", "late p50 ms", "late p99 ms", "late worst ms"];
    let mut section = Section::new("h", "A good skill over one connection, and bad neighbours", &columns);
    let host = bench_host(
        "[skills.bad]\ntimeout = \"100ms\"\nbreaker = \"off\"\n[skills.broken]\ntimeout = \"100ms\"\n",
    );
    for name in ["bad.wasm", "broken.wasm"] {
        host.put(name, &component("bench.wasm"));
    }
    let serving = Serving::of(host);
    let target = &serving.target;
    let good = Request::echo("bench_echo", "a b");
    let timed_out = |tool: &str| Request::new(tool, json!({})).expect("\"isError\":true");
    let beside = |bad: Request, connections: usize| {
        let good = &good;
        move || {
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                let bad = scope.spawn(|| target.load_until(&bad, connections, &stop));
                let load = target.load(good, 1, time);
                stop.store(true, Ordering::Relaxed);
                (load, bad.join().expect("it answers"))
            })
        }
    };
    let mut variants = [
        Variant::new("quiet", || (target.load(&good, 1, time), Load::default())),
        Variant::new("two that loop", beside(timed_out("bad_spin"), 2)),
        Variant::new("eight that loop", beside(timed_out("bad_spin"), 8)),
        Variant::new("a flood over 32 connections", beside(Request::echo("bad_echo", "a b"), 32)),
        Variant::new("eight that fail, with a breaker", beside(timed_out("broken_fail"), 8)),
    ];
    let all = interleaved(rounds, &mut variants);
    let p99 = |(load, _): &(Load, Load)| load.quantile(0.99);
    for (variant, samples) in variants.iter().zip(&all) {
        // What ends after its deadline was ended late.
        let late = |q: f64| {
            let loops = variant.name.contains("loop");
            let late = |(_, bad): &(Load, Load)| bad.quantile(q) / 1e3 - TIMEOUT.as_secs_f64() * 1e3;
            loops.then(|| of(samples, late)).flatten()
        };
        section.row(
            variant.name.clone(),
            [
                of(samples, |(load, _)| load.quantile(0.5)),
                of(samples, p99),
                of(samples, |(load, _)| load.quantile(1.0)),
                ratio(samples, &all[0], p99),
                late(0.5),
                late(0.99),
                late(1.0),
            ],
        );
    }
    section.note(
        "Late: how long after its deadline of 100 ms the client of a looping call had its answer, over HTTP.",
    );
    section
}

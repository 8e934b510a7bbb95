//! (b) A native rmcp server against this host, over HTTP and stdio.

use std::time::Duration;

use crate::{
    client::{Pipes, Request},
    hosts::{Native, Serving, bench_host},
    measure::{Load, Variant, interleaved, of, ratio},
    native::{self, ECHO},
    report::Section,
};

const COLUMNS: [&str; 8] = [
    "native calls/s",
    "skillhost calls/s",
    "ratio",
    "native p50 µs",
    "p50 µs",
    "native p99 µs",
    "p99 µs",
    "ratio of CPU a call",
];

pub(crate) fn run(rounds: usize, time: Duration) -> Section {
    let mut section =
        Section::new("b", "One call of an echo: native rmcp against a fresh sandbox each call", &COLUMNS);
    let request = Request::echo(ECHO, "a b");
    let (native, serving) = (Native::start(), Serving::start(""));
    let reused = Serving::start("[skills.bench]\nreuse_calls = 1000\n");
    for connections in [1, 8, 32] {
        let mut all = [
            Variant::new("native", || native.target.load(&request, connections, time)),
            Variant::new("skillhost", || serving.target.load(&request, connections, time)),
            Variant::new("reused", || reused.target.load(&request, connections, time)),
        ];
        let [native, ours, reused] = &interleaved(rounds, &mut all)[..] else { unreachable!("of three") };
        row(&mut section, format!("HTTP, {connections} connections"), native, ours);
        row(&mut section, format!("HTTP, {connections} connections, instances reused"), native, reused);
    }
    drop((native, serving, reused));
    let mut native = Pipes::start(native::command("stdio"));
    let host = bench_host("");
    let mut ours = Pipes::start(host.command(&["stdio"]));
    for in_flight in [1, 8, 32] {
        let mut both = [
            Variant::new("native", || native.load(&request, in_flight, time)),
            Variant::new("skillhost", || ours.load(&request, in_flight, time)),
        ];
        let [native, ours] = &interleaved(rounds, &mut both)[..] else { unreachable!("of two") };
        row(&mut section, format!("stdio, {in_flight} in flight"), native, ours);
    }
    section
}

fn row(section: &mut Section, name: String, native: &[Load], ours: &[Load]) {
    section.row(
        name,
        [
            of(native, Load::per_second),
            of(ours, Load::per_second),
            ratio(ours, native, Load::per_second),
            of(native, |load| load.quantile(0.5)),
            of(ours, |load| load.quantile(0.5)),
            of(native, |load| load.quantile(0.99)),
            of(ours, |load| load.quantile(0.99)),
            ratio(ours, native, Load::cpu_per_call),
        ],
    );
}

//! (g) Skills of interpreters: their first call, and those after it, in fresh instances and in ones that serve again.

use std::time::{Duration, Instant};

use serde_json::json;
use skillhost_e2e::Host;

use crate::{
    client::Request,
    hosts::{Serving, language},
    measure::{Load, Variant, interleaved, of, ratio},
    report::Section,
};

const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-data");

pub(crate) fn run(rounds: usize, time: Duration) -> Section {
    let columns = [
        "first call, ms",
        "fresh p50 µs",
        "fresh p99 µs",
        "reused p50 µs",
        "reused of fresh",
        "calls/s, 8 fresh",
    ];
    let mut section = Section::new("g", "The same skill in other languages, over HTTP", &columns);
    for name in ["rust", "c", "cpp", "go", "js", "python"] {
        let Some(bytes) = language(name) else {
            section.note(format!("No component in {name}: `sdk/try.sh` builds them."));
            continue;
        };
        let start = |config: &str| {
            let host = Host::new(CACHE).config(config);
            host.put("guest.wasm", &bytes);
            Serving::of(host)
        };
        let say = Request::echo("guest_say", "a b");
        // `served` bears it that its instance has served before.
        let served = Request::new("guest_served", json!({"garbage": 0}));
        let memory = "[skills.guest]\nmemory = \"128 MiB\"\n";
        let (fresh, reused) =
            (start(memory), start(&format!("{memory}reuse_calls = 1000000\nreuse_age = \"1h\"\n")));
        let began = Instant::now();
        fresh.target.once(&say);
        let first = began.elapsed().as_secs_f64() * 1e3;
        let mut variants = [
            Variant::new("fresh", || fresh.target.load(&served, 1, time)),
            Variant::new("reused", || reused.target.load(&served, 1, time)),
            Variant::new("eight", || fresh.target.load(&served, 8, time)),
        ];
        let all = interleaved(rounds, &mut variants);
        section.row(
            name,
            [
                Some(first),
                of(&all[0], |load| load.quantile(0.5)),
                of(&all[0], |load| load.quantile(0.99)),
                of(&all[1], |load| load.quantile(0.5)),
                ratio(&all[1], &all[0], |load| load.quantile(0.5)),
                of(&all[2], Load::per_second),
            ],
        );
    }
    section.note("The first call finds compiled code that is mapped and was not touched yet.");
    section
}

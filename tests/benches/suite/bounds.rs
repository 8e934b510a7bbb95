//! (j) What fuel and epochs cost the guest's code.

use std::time::Duration;

use skillhost_e2e::component;
use skillhost_engine::{Compiler, EngineSettings, Metering, OwnListeners, wasmtime_config};
use skillhost_telemetry::Metrics;

use crate::{
    bare::{Bare, Bounds, Ticking},
    hosts::language,
    measure::{Load, Variant, interleaved, of, ratio},
    report::Section,
};

const BOUNDS: [(&str, Bounds); 4] = [
    ("neither", Bounds { fuel: false, epochs: false }),
    ("epochs", Bounds { fuel: false, epochs: true }),
    ("fuel", Bounds { fuel: true, epochs: false }),
    ("both", Bounds { fuel: true, epochs: true }),
];

pub(crate) fn run(rounds: usize, time: Duration) -> Section {
    let columns = ["neither, µs", "epochs", "fuel", "both"];
    let mut section = Section::new("j", "Fuel and epochs: time of a call, against neither of them", &columns);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let echo = r#"{"text":"a b"}"#.to_owned();
    let documents: Vec<_> =
        (0..200).map(|n| serde_json::json!({"n": n, "name": format!("name {n}")})).collect();
    let query = serde_json::json!({"value": documents}).to_string();
    let mut guests = vec![
        (
            "C-like loop in Rust (count)".to_owned(),
            component("bench.wasm"),
            "count",
            r#"{"n":100000}"#.to_owned(),
        ),
        ("Rust (echo of 7 KiB of JSON)".to_owned(), component("behaves.wasm"), "echo", query.clone()),
        ("Rust (small echo)".to_owned(), component("bench.wasm"), "echo", echo),
    ];
    for name in ["js", "python", "go", "c"] {
        match language(name) {
            Some(bytes) => {
                guests.push((format!("{name} (echo of 7 KiB of JSON)"), bytes, "echo", query.clone()));
            }
            None => section.note(format!("No component in {name}: `sdk/try.sh` builds them.")),
        }
    }
    let cache = tempfile::tempdir().expect("a folder");
    let settings = EngineSettings {
        instances: 8,
        pooled: true,
        max_memory: 512 << 20,
        threads: 1,
        cache: cache.path().into(),
        cache_size: 1 << 30,
        compiler: Compiler::InProcess,
        listeners: OwnListeners::default(),
        upstream: None,
        keyvalue: None,
        metrics: Metrics::default(),
    };
    for (name, bytes, tool, arguments) in guests {
        let engines = BOUNDS
            .map(|(_, bounds)| Bare::new(&mut wasmtime_config(&settings, Metering::Fuel), bounds, &bytes));
        let _ticking: Vec<_> = engines.iter().map(Ticking::of).collect();
        for fresh in [true, false] {
            let mut instances: Vec<_> =
                engines.iter().map(|bare| runtime.block_on(bare.instance())).collect();
            let mut variants: Vec<_> = engines
                .iter()
                .zip(&mut instances)
                .zip(BOUNDS)
                .map(|((bare, reused), (what, _))| {
                    let (runtime, arguments) = (&runtime, &arguments);
                    Variant::new(what, move || {
                        Load::of(time / 2, || {
                            runtime.block_on(async {
                                match fresh {
                                    true => bare.call(tool, arguments).await,
                                    false => reused.call(tool, arguments).await,
                                }
                            });
                        })
                    })
                })
                .collect();
            let all = interleaved(rounds, &mut variants);
            let slower = |n: usize| ratio(&all[n], &all[0], |load| load.quantile(0.5));
            section.row(
                format!("{name}, {}", if fresh { "fresh" } else { "reused" }),
                [of(&all[0], |load| load.quantile(0.5)), slower(1), slower(2), slower(3)],
            );
        }
    }
    section
}

//! (i) What telemetry costs: hosts that tell nothing, keep metrics, write their log, and trace.

use std::time::Duration;

use skillhost_e2e::{Web, response};

use crate::{
    client::Request,
    hosts::{Serving, bench_host},
    measure::{Load, Variant, interleaved, of, ratio},
    native::ECHO,
    report::Section,
};

pub(crate) fn run(rounds: usize, time: Duration) -> Section {
    let mut section =
        Section::new("i", "Telemetry, over 8 connections", &["calls/s", "ratio", "ratio of CPU a call"]);
    let collector = Web::start(|_| response("200 OK", &["content-type: application/x-protobuf"], b""));
    let otlp = |sample: f64| format!("otlp = \"http://{}\"\nsample = {sample}\n", collector.address());
    let mut hosts: Vec<_> = [
        ("nothing", "metrics = false\n".to_owned()),
        ("metrics", String::new()),
        ("metrics, 1 in 100 traced", otlp(0.01)),
        ("metrics, 1 in 20 traced", otlp(0.05)),
        ("metrics, all traced", otlp(1.0)),
    ]
    .into_iter()
    .map(|(name, config)| (name, Serving::start(&format!("[telemetry]\n{config}"))))
    .collect();
    hosts.push(("metrics, and a log as by default", Serving::logging(bench_host(""), "info")));
    let request = Request::echo(ECHO, "a b");
    let mut variants: Vec<_> = hosts
        .iter()
        .map(|(name, serving)| Variant::new(*name, || serving.target.load(&request, 8, time)))
        .collect();
    let all = interleaved(rounds, &mut variants);
    for (variant, samples) in variants.iter().zip(&all) {
        section.row(
            variant.name.clone(),
            [
                of(samples, Load::per_second),
                ratio(samples, &all[0], Load::per_second),
                ratio(samples, &all[0], Load::cpu_per_call),
            ],
        );
    }
    section
}

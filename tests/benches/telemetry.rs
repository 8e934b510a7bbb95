//! What telemetry costs: the same calls over HTTP against hosts that tell nothing, keep metrics, and trace, side by side in one
//! run. `cargo bench -p skillhost-e2e --bench telemetry`; `SKILLHOST_BIN` names another binary.
#![allow(clippy::print_stderr, clippy::disallowed_methods, reason = "it measures, for whoever runs it")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use skillhost_e2e::{Host, Server, Web, response};

/// Connections that call at once.
const CONNECTIONS: usize = 8;
/// How long each host is called in a round, and rounds.
const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 15;

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"text_word_count","arguments":{"text":"a b"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

fn main() {
    let collector = Web::start(|_| response("200 OK", &["content-type: application/x-protobuf"], b""));
    let otlp = |sample: f64| format!("otlp = \"http://{}\"\nsample = {sample}\n", collector.address());
    let variants = [
        ("nothing", "metrics = false\n".to_owned()),
        ("metrics", String::new()),
        ("metrics, 1 in 100 traced", otlp(0.01)),
        ("metrics, 1 in 20 traced", otlp(0.05)),
        ("metrics, all traced", otlp(1.0)),
    ];
    let hosts: Vec<(&str, Host, Server)> = variants
        .into_iter()
        .map(|(name, config)| {
            let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-data");
            let host = Host::with_samples(cache)
                .own_data()
                .config(&format!("[log]\nlevel = \"warn\"\n[telemetry]\n{config}"));
            let mut command = host.command(&["serve", "--listen", "127.0.0.1:0"]);
            command.env("SKILLHOST_LOG", "warn,skillhost::transport::http=info");
            let server = host.server(command);
            (name, host, server)
        })
        .collect();
    let mut rates = vec![vec![]; hosts.len()];
    for round in 0..=ROUNDS {
        for (n, (_, _, server)) in hosts.iter().enumerate() {
            let rate = called(server.url());
            // The first round only warms up.
            if round > 0 {
                rates[n].push(rate);
            }
        }
    }
    // Each against the first in the same round: what else the machine does meanwhile meets both.
    eprintln!("calls a second over {CONNECTIONS} connections, medians of {ROUNDS} rounds");
    for (n, (name, ..)) in hosts.iter().enumerate() {
        let ratios = rates[n].iter().zip(&rates[0]).map(|(rate, first)| rate / first).collect();
        eprintln!("{name:28} {:9.0}   {:.3}", median(rates[n].clone()), median(ratios));
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Calls a second.
fn called(url: &str) -> f64 {
    let began = Instant::now();
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let address = url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
            thread::spawn(move || connection(&address, began))
        })
        .collect();
    let calls: u32 = threads.into_iter().map(|thread| thread.join().expect("it answers")).sum();
    f64::from(calls) / began.elapsed().as_secs_f64()
}

fn connection(address: &str, began: Instant) -> u32 {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: text_word_count\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut reader = BufReader::new(&stream);
    let mut calls = 0;
    let mut line = String::new();
    while began.elapsed() < ROUND {
        (&stream).write_all(request.as_bytes()).expect("it reads");
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line).expect("it answers");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body");
        assert!(
            body.windows(17).any(|part| part == b"\"structuredConten"),
            "{}",
            String::from_utf8_lossy(&body)
        );
        calls += 1;
    }
    calls
}

//! Many clients that listen while skills come, go and are replaced: all are told, none is lost, and nothing is kept of them.
//!
//! `SKILLHOST_CHURN=full` makes it 500 clients and a minute.
#![allow(clippy::print_stderr, reason = "whoever runs it in full wants the figures")]

use std::{fs, sync::Arc, time::Duration};

use serde_json::{Value, json};
use skillhost_e2e::{
    Host, Raw, component,
    wire::{self, Reply},
};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::empty;

/// As in `host/src/transport/mcp/sessions.rs`.
const WINDOW: Duration = Duration::from_millis(250);
/// By how much what was told in its time may come too late, and what comes after it seem too early.
const JITTER: Duration = Duration::from_millis(230);
/// How long it may take until all are told of a change. A busy machine compiles, too.
const TOLD: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;
/// Files of memory images that the host keeps for modules that ran lately; `WARM` and `QUEUED` in
/// `host/crates/engine/src/config.rs`.
const IMAGES: usize = 16;

/// How much of it.
struct Size {
    clients: usize,
    warm_up: usize,
    swaps: usize,
    every: Duration,
    /// Crowds that come and go afterwards, until an allocator has all the holes that it needs.
    crowds: usize,
}

fn size() -> Size {
    match std::env::var("SKILLHOST_CHURN").as_deref() {
        Ok("full") => Size { clients: 500, warm_up: 15, swaps: 60, every: Duration::from_secs(1), crowds: 8 },
        Ok(other) => panic!("SKILLHOST_CHURN is `full` or not set, not `{other}`"),
        Err(_) => Size { clients: 40, warm_up: 6, swaps: 6, every: Duration::from_millis(400), crowds: 2 },
    }
}

/// What one client was told, and when.
struct Heard {
    client: usize,
    method: String,
    at: Instant,
}

/// Resident memory in bytes, and open files.
fn used(process: u32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    (kib << 10, fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count())
}

fn headers(all: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let fixed = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let both = fixed.iter().chain(all);
    both.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

fn modern(method: &str, mut params: Value) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "churn", "version": "1"},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    (
        headers(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)]),
        body.to_string().into_bytes(),
    )
}

/// Open a stream of the newer era.
async fn listen(url: &str) -> Result<Reply, String> {
    let filter = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
    let (headers, body) = modern("subscriptions/listen", json!({"notifications": filter}));
    let mut reply = wire::send("POST", url, &headers, body).await?;
    let first = reply.event().await?.ok_or("the stream ends at once")?;
    match first.contains("notifications/subscriptions/acknowledged") {
        true => Ok(reply),
        false => Err(format!("not acknowledged: {first}")),
    }
}

const OLDER: &str = "2025-11-25";

/// Open a session of an older era, and its stream.
async fn session(url: &str) -> Result<(String, Reply), String> {
    let params = json!({"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "churn", "version": "1"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let reply = wire::send("POST", url, &headers(&[]), body.to_string().into_bytes()).await?;
    let id = reply.session().ok_or("no session")?.to_owned();
    reply.whole().await?;
    let own = headers(&[("mcp-session-id", &*id), ("mcp-protocol-version", OLDER)]);
    let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    wire::send("POST", url, &own, body.to_string().into_bytes()).await?.whole().await?;
    let reply = wire::send("GET", url, &own, vec![]).await?;
    match reply.is_stream() {
        true => Ok((id, reply)),
        false => Err(format!("no stream: {}", reply.status)),
    }
}

/// One client, until all leave. An error when it is sent away before.
async fn client(
    url: Arc<str>,
    client: usize,
    heard: mpsc::UnboundedSender<Heard>,
    ready: mpsc::UnboundedSender<usize>,
    mut leave: watch::Receiver<bool>,
) -> Result<(), String> {
    let (session, mut stream) = match client % 2 {
        0 => (None, listen(&url).await?),
        _ => session(&url).await.map(|(id, stream)| (Some(id), stream))?,
    };
    let _ = ready.send(client);
    loop {
        let event = tokio::select! {
            event = stream.event() => event,
            _ = leave.changed() => break,
        };
        let message: Value = match event? {
            Some(data) => serde_json::from_str(&data).map_err(|error| format!("{error}: {data}"))?,
            None if *leave.borrow() => break,
            None => return Err("its stream has ended".into()),
        };
        let method = message["method"].as_str().ok_or_else(|| format!("told {message}"))?.to_owned();
        let _ = heard.send(Heard { client, method, at: Instant::now() });
    }
    drop(stream);
    if let Some(id) = session {
        let own = headers(&[("mcp-session-id", &*id), ("mcp-protocol-version", OLDER)]);
        let reply = wire::send("DELETE", &url, &own, vec![]).await?;
        if reply.status != 204 {
            return Err(format!("it cannot leave: {}", reply.status));
        }
    }
    Ok(())
}

/// Names of all tools.
async fn tools(url: &str) -> Vec<String> {
    let (headers, body) = modern("tools/list", json!({}));
    let reply = wire::send("POST", url, &headers, body).await.expect("a reply");
    let answer: Value = serde_json::from_slice(&reply.whole().await.expect("a body")).expect("JSON");
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// What is swapped: one with tools alone, and one with prompts and resources, too.
struct Skills {
    tools: Vec<u8>,
    all: Vec<u8>,
}

impl Skills {
    /// Several changes at once, which are told together. Whether `extra` has the tool of `tools` after it.
    fn swap(&self, host: &Host, n: usize) -> Option<&'static str> {
        let remove = |name: &str| {
            if let Err(error) = fs::remove_file(host.skill(name)) {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
            }
        };
        match n % 3 {
            0 => {
                host.put("extra.wasm", &self.tools);
                host.put("more.wasm", &self.all);
                Some("extra_word_count")
            }
            1 => {
                remove("more.wasm");
                host.put("extra.wasm", &self.all);
                host.put("more.wasm", &self.tools);
                Some("extra_set")
            }
            _ => {
                remove("extra.wasm");
                remove("more.wasm");
                None
            }
        }
    }
}

const CHANGED: [&str; 3] = [
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
];

/// When each client was told of what.
#[derive(Default)]
struct Record(Vec<[Vec<Instant>; 3]>);

impl Record {
    fn enter(&mut self, Heard { client, method, at }: Heard) {
        let which = CHANGED.iter().position(|one| *one == method).unwrap_or_else(|| panic!("told {method}"));
        self.0[client][which].push(at);
    }

    /// Clients that were not told that tools have changed since then.
    fn unaware(&self, since: Instant) -> usize {
        self.0.iter().filter(|told| told[0].last().is_none_or(|last| *last < since)).count()
    }

    /// Nobody was told of one kind more often than once in a window.
    fn check(&self) {
        for (client, told) in self.0.iter().enumerate() {
            for (which, all) in told.iter().enumerate() {
                for (first, from) in all.iter().enumerate() {
                    for (windows, to) in all[first..].iter().enumerate() {
                        let least = (WINDOW * u32::try_from(windows).expect("few")).saturating_sub(JITTER);
                        let time = to.duration_since(*from);
                        assert!(
                            time >= least,
                            "client {client} was told {} times of {} in {time:?}",
                            windows + 1,
                            CHANGED[which]
                        );
                    }
                }
            }
        }
    }
}

/// Clients that have all connected.
struct Crowd {
    clients: JoinSet<Result<(), String>>,
    hears: mpsc::UnboundedReceiver<Heard>,
    leave: watch::Sender<bool>,
}

impl Crowd {
    async fn connected(url: &Arc<str>, count: usize) -> Self {
        let (heard, hears) = mpsc::unbounded_channel();
        let (ready, mut readies) = mpsc::unbounded_channel();
        let (leave, leaves) = watch::channel(false);
        let mut clients = JoinSet::new();
        for n in 0..count {
            let (heard, ready, leaves) = (heard.clone(), ready.clone(), leaves.clone());
            clients.spawn(client(Arc::clone(url), n, heard, ready, leaves));
        }
        for _ in 0..count {
            tokio::select! {
                ready = timeout(TOLD, readies.recv()) => { ready.expect("all connect in time"); }
                Some(ended) = clients.join_next() => panic!("a client is lost: {ended:?}"),
            }
        }
        Self { clients, hears, leave }
    }

    async fn leaves(mut self) {
        self.leave.send(true).expect("clients are there");
        while let Some(left) = self.clients.join_next().await {
            left.expect("no panic").expect("it was not sent away");
        }
    }
}

/// What is used when all is quiet, and no more files than these are open; in the end also when more are.
async fn quiet(process: u32, files: usize) -> (u64, usize) {
    let until = Instant::now() + TOLD;
    while used(process).1 > files && Instant::now() < until {
        sleep(Duration::from_millis(50)).await;
    }
    sleep(2 * WINDOW).await;
    used(process)
}

#[test]
fn many_clients_hear_of_every_change_and_leave_nothing_behind() {
    let size = size();
    let skills = Skills { tools: component("text.wasm"), all: component("whole.wasm") };
    let host = empty();
    host.put("json.wasm", &component("json.wasm"));
    let raw = Raw::start(host.command(&["serve", "--listen", "127.0.0.1:0"]));
    let (process, url): (u32, Arc<str>) = (raw.id(), raw.url().into());
    Runtime::new().expect("a runtime").block_on(async {
        tools(&url).await;
        // Compiled code is there before anything is measured.
        for n in 0..3 {
            settled(&url, skills.swap(&host, n)).await;
        }
        let alone = used(process);

        let Crowd { mut clients, mut hears, leave } = Crowd::connected(&url, size.clients).await;
        let connected = used(process);

        let mut record = Record(vec![Default::default(); size.clients]);
        let mut warm = (0, 0);
        let began = Instant::now();
        let mut slowest = Duration::ZERO;
        for n in 0..size.warm_up + size.swaps {
            if n == size.warm_up {
                sleep(2 * WINDOW).await;
                warm = used(process);
            }
            let swapped = Instant::now();
            let expected = skills.swap(&host, n);
            let last = n + 1 == size.warm_up + size.swaps;
            sleep_until(swapped + size.every).await;
            if last {
                settled(&url, expected).await;
                // All is as it stays: what was told before does not count when it told of less.
                let until = Instant::now() + TOLD;
                while record.unaware(swapped) > 0 {
                    let left = until.saturating_duration_since(Instant::now());
                    match timeout(left, hears.recv()).await {
                        Ok(Some(one)) => {
                            slowest = slowest.max(one.at.duration_since(swapped));
                            record.enter(one);
                        }
                        _ => panic!("{} clients were not told of the last change", record.unaware(swapped)),
                    }
                }
            }
            while let Ok(one) = hears.try_recv() {
                record.enter(one);
            }
            if let Some(ended) = clients.try_join_next() {
                panic!("a client is lost: {ended:?}");
            }
        }
        let took = began.elapsed();
        sleep(2 * WINDOW).await;
        let churned = used(process);
        while let Ok(one) = hears.try_recv() {
            record.enter(one);
        }
        record.check();
        let told = |which: usize| record.0.iter().map(move |told| told[which].len());

        Crowd { clients, hears, leave }.leaves().await;
        let after = quiet(process, alone.1 + 4 + IMAGES).await;
        // Whatever each client leaves for good, those of the last crowd leave again.
        let (mut before, mut again) = (after, after);
        for _ in 0..size.crowds {
            before = again;
            Crowd::connected(&url, size.clients).await.leaves().await;
            again = quiet(process, alone.1 + 4 + IMAGES).await;
        }

        let show = |(memory, files): (u64, usize)| format!("{:.1} MiB, {files} files", memory as f64 / MIB as f64);
        eprintln!(
            "churn: {} clients, {} + {} swaps in {took:.1?}; told of tools {}..{} times each, of prompts {}..{}, of the last \
             change within {slowest:.1?}\nalone {}; connected {}; warm {}; at the end {}; after all have left {}; after as many \
             more {}",
            size.clients,
            size.warm_up,
            size.swaps,
            told(0).min().unwrap_or(0),
            told(0).max().unwrap_or(0),
            told(1).min().unwrap_or(0),
            told(1).max().unwrap_or(0),
            show(alone),
            show(connected),
            show(warm),
            show(churned),
            show(after),
            show(again),
        );
        let within = |from: u64| from + (from / 10).max(16 * MIB);
        assert!(churned.0 <= within(warm.0), "memory grows: {} to {}", show(warm), show(churned));
        assert!(after.1 <= alone.1 + 4 + IMAGES, "files stay open: {} to {}", show(alone), show(after));
        // What an allocator keeps for later is no leak: it is no more than all took at their busiest, and it is used again.
        let kept = churned.0.saturating_sub(alone.0).max(32 * MIB);
        let slack = (alone.0 / 20).max(2 * MIB);
        assert!(after.0 <= alone.0 + kept + slack, "memory stays: {} to {}", show(alone), show(after));
        assert!(again.0 <= before.0 + slack, "clients leave memory behind: {} to {}", show(before), show(again));
        assert!(again.1 <= alone.1 + 4 + IMAGES, "files stay open: {} to {}", show(alone), show(again));
        assert!(raw.panics().is_empty(), "{:?}", raw.panics());
    });
}

/// Wait until the tools are these: `extra` has this one, or none.
async fn settled(url: &str, tool: Option<&str>) {
    let until = Instant::now() + TOLD;
    loop {
        let all = tools(url).await;
        let extra = all.iter().filter(|name| name.starts_with("extra_")).collect::<Vec<_>>();
        let done = match tool {
            Some(tool) => {
                extra.iter().any(|name| *name == tool) && all.iter().any(|name| name.starts_with("more_"))
            }
            None => !all.iter().any(|name| name.starts_with("extra_") || name.starts_with("more_")),
        };
        if done {
            return;
        }
        assert!(Instant::now() < until, "the skills do not change: {tool:?} in {all:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

//! Hosts that are killed under load: histories are checked against the effects that were counted outside.
//!
//! Kills come after a number of answers, not after a time. With `SKILLHOST_NIGHTLY` there are 1,000 of them.

#![expect(clippy::print_stdout, reason = "the seed, and what happened, when a test fails")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, eventually};

use crate::recovery::{effects, recording, status};

/// Calls that each host gets between two kills.
const CALLS: usize = 12;

fn cycles() -> usize {
    if std::env::var_os("SKILLHOST_NIGHTLY").is_some() { 1_000 } else { 50 }
}

/// A small generator, so that a run can be told by its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
}

/// What is known of calls by their answers.
#[derive(Default)]
struct History {
    next: usize,
    /// Keys that were sent and have no final answer.
    open: BTreeSet<String>,
    /// Keys that were answered with success: the call's id.
    done: BTreeMap<String, String>,
    /// Keys of which nobody knows.
    unknown: BTreeSet<String>,
    /// Durable calls that were accepted or done.
    durable: BTreeMap<String, String>,
}

/// What was sent, by the request's id.
type Sent = BTreeMap<u64, (String, bool)>;

impl History {
    /// Send new calls, and some of those that have no answer yet.
    fn send(&mut self, client: &mut Client, random: &mut Random) -> Sent {
        let mut sent = Sent::new();
        let again: Vec<_> = self.open.iter().take(CALLS / 3).cloned().collect();
        for key in again {
            sent.insert(keyed(client, &key), (key, false));
        }
        while sent.len() < CALLS {
            self.next += 1;
            let n = self.next;
            if random.below(3) == 0 {
                let line = format!("d{n}");
                let arguments = json!({"line": line, "ms": random.below(5)});
                let id = client.begin_call_with("same_record", arguments, json!({"skillhost/durable": true}));
                sent.insert(id, (line, true));
            } else {
                let key = format!("k{n}");
                self.open.insert(key.clone());
                sent.insert(keyed(client, &key), (key, false));
            }
        }
        sent
    }

    /// Take an answer down. Whether it was one.
    fn hear(&mut self, sent: &mut Sent, message: &Value) -> bool {
        let Some((name, durable)) = message["id"].as_u64().and_then(|id| sent.remove(&id)) else {
            return false;
        };
        let result = &message["result"];
        let id = result["_meta"]["skillhost/call_id"].as_str().unwrap_or_default().to_owned();
        let failed = result["_meta"]["skillhost/failure"]["kind"].as_str();
        assert!(message.get("error").is_none(), "{message}");
        let state = result["_meta"]["skillhost/call"]["state"].as_str();
        if durable {
            // Whatever was answered without a failure must happen.
            if failed.is_none() {
                self.durable.insert(name, id);
            }
            return true;
        }
        match (failed, state) {
            (None, None) => {
                if let Some(before) = self.done.insert(name.clone(), id.clone()) {
                    assert_eq!(before, id, "{name} was done before, as another call");
                }
                assert!(!self.unknown.contains(&name), "{name} was unknown and is done");
                self.open.remove(&name);
            }
            (_, Some("parked" | "unknown")) => {
                assert!(!self.done.contains_key(&name), "{name} was done and is unknown: {message}");
                self.unknown.insert(name.clone());
                self.open.remove(&name);
            }
            // In progress, refused: to be asked again.
            _ => {}
        }
        true
    }
}

fn keyed(client: &mut Client, key: &str) -> u64 {
    let meta = json!({"skillhost/idempotency_key": key});
    client.begin_call_with("faulty_record", json!({"line": key, "ms": 1}), meta)
}

/// Count what happened, in the file that the skill wrote.
fn check(host: &Host, history: &mut History) {
    // Whoever comes next looks after what the dead left.
    let mut client = host.stdio();
    while !history.open.is_empty() {
        let mut sent = Sent::new();
        for key in history.open.clone() {
            sent.insert(keyed(&mut client, &key), (key, false));
        }
        while !sent.is_empty() {
            let message = client.next_message().expect("it answers");
            history.hear(&mut sent, &message);
        }
    }
    for id in history.durable.values() {
        eventually(|| {
            let state = status(&mut client, id)["state"].as_str().unwrap_or_default().to_owned();
            ["done", "recovered"].contains(&&*state).then_some(())
        });
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in effects(host) {
        *counts.entry(line.split_once(' ').expect("a line and an id").0.to_owned()).or_default() += 1;
    }
    for (key, id) in &history.done {
        assert_eq!(counts.get(key), Some(&1), "{key} was acknowledged as {id}");
        // And it stays so.
        let request = keyed(&mut client, key);
        let again = client.wait(request);
        assert_eq!(again["result"]["_meta"]["skillhost/call_id"], **id, "{again}");
    }
    for key in &history.unknown {
        assert!(counts.get(key).copied().unwrap_or_default() <= 1, "{key} took effect more than once");
    }
    for line in history.durable.keys() {
        assert!(counts.contains_key(line), "{line} was accepted and never happened");
    }
    assert!(history.done.len() > cycles() && !history.durable.is_empty(), "there was no load");
    // Nothing is held by the dead.
    eventually(|| {
        let leased = host.json(&["dlq", "list", "--state", "leased", "--limit", "0", "--json"]);
        leased["letters"].as_array().unwrap().is_empty().then_some(())
    });
    println!(
        "{} done, {} unknown, {} durable, {} effects",
        history.done.len(),
        history.unknown.len(),
        history.durable.len(),
        counts.values().sum::<usize>()
    );
}

fn quick() -> Host {
    recording("[journal]\nkey_wait = \"2s\"\n")
}

#[test]
fn a_host_that_is_killed_under_load_loses_nothing_and_does_nothing_twice() {
    let host = quick();
    let mut random = Random(std::process::id().into());
    println!("seed {}", random.0);
    let mut history = History::default();
    for _ in 0..cycles() {
        let mut client = host.stdio();
        let mut sent = history.send(&mut client, &mut random);
        let mut left = random.below(CALLS);
        while left > 0 {
            let message = client.next_message().expect("it answers");
            left -= usize::from(history.hear(&mut sent, &message));
        }
        client.kill();
        // What was on its way to us counts.
        while let Some(message) = client.next_message() {
            history.hear(&mut sent, &message);
        }
    }
    check(&host, &mut history);
}

#[test]
fn two_hosts_on_one_folder_one_killed_at_random() {
    let host = quick();
    let mut random = Random(std::process::id().into());
    println!("seed {}", random.0);
    let mut history = History::default();
    let mut clients = vec![host.stdio(), host.stdio()];
    for _ in 0..cycles() / 2 {
        let mut sent: Vec<_> = clients.iter_mut().map(|client| history.send(client, &mut random)).collect();
        let victim = random.below(2);
        let mut left = random.below(CALLS);
        while left > 0 {
            let message = clients[victim].next_message().expect("it answers");
            left -= usize::from(history.hear(&mut sent[victim], &message));
        }
        clients[victim].kill();
        while let Some(message) = clients[victim].next_message() {
            history.hear(&mut sent[victim], &message);
        }
        // The other goes on.
        let other = 1 - victim;
        while !sent[other].is_empty() {
            let message = clients[other].next_message().expect("it answers");
            history.hear(&mut sent[other], &message);
        }
        clients[victim] = host.stdio();
    }
    drop(clients);
    check(&host, &mut history);
}

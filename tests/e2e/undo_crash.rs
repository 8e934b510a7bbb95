//! Hosts that are killed while they do and undo: every call with all that it made others do is there as a whole, or it is
//! not there at all.
//!
//! Kills come after a number of answers, not after a time. With `SKILLHOST_NIGHTLY` there are 500 of them.

#![expect(clippy::print_stdout, reason = "the seed, when a test fails")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, eventually};

use crate::{
    crash::Random,
    ledger::{call, ledgers, put, story, undone, world},
};

/// Calls that each host gets between two kills.
const CALLS: usize = 10;

fn cycles() -> usize {
    if std::env::var_os("SKILLHOST_NIGHTLY").is_some() { 500 } else { 25 }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Is {
    /// Nobody heard of its end.
    Unheard,
    Done,
    Gone,
}

#[derive(Default)]
struct History {
    next: usize,
    /// Trees by their name, each with three keys that begin with it: what is known, and the call's id.
    trees: BTreeMap<String, (Is, Option<String>)>,
    /// Those that somebody has begun to undo.
    undoing: BTreeSet<String>,
}

/// What was sent, by the request's id: a tree, and whether it was to be undone.
type Sent = BTreeMap<u64, (String, bool)>;

fn keys(name: &str) -> [String; 3] {
    ["a", "b", "c"].map(|key| format!("{name}.{key}"))
}

fn tree(name: &str, end: &str) -> Value {
    let [a, b, c] = keys(name);
    let inner = json!({"calls": [call("ledger_put", put(&b, "1")), call("two_put", put(&c, "1"))]});
    // What says that it took no effect must have none of its own.
    match end {
        "permanent" => {
            json!({"calls": [call("ledger_put", put(&a, "1")), call("two_tree", inner)], "end": end})
        }
        _ => json!({"own": {"key": a, "value": "1"}, "calls": [call("two_tree", inner)], "end": end}),
    }
}

impl History {
    fn send(&mut self, client: &mut Client, random: &mut Random) -> Sent {
        let mut sent = Sent::new();
        let done: Vec<_> =
            self.trees.iter().filter(|(_, tree)| tree.0 == Is::Done).map(|(name, _)| name.clone()).collect();
        for _ in 0..CALLS {
            if !done.is_empty() && random.below(3) == 0 {
                let name = done[random.below(done.len())].clone();
                let id = self.trees[&name].1.clone();
                self.undoing.insert(name.clone());
                sent.insert(client.begin_call("undo_call", json!({"id": id})), (name, true));
                continue;
            }
            self.next += 1;
            let name = format!("t{}", self.next);
            let end = ["ok", "ok", "trap", "permanent"][random.below(4)];
            self.trees.insert(name.clone(), (Is::Unheard, None));
            sent.insert(client.begin_call("ledger_tree", tree(&name, end)), (name, false));
        }
        sent
    }

    /// Take an answer down. Whether it was one.
    fn hear(&mut self, sent: &mut Sent, message: &Value) -> bool {
        let Some((name, undo)) = message["id"].as_u64().and_then(|id| sent.remove(&id)) else { return false };
        let result = &message["result"];
        let tree = self.trees.get_mut(&name).unwrap();
        if undo {
            let state = result["structuredContent"]["state"].as_str().unwrap_or_default();
            assert!(["rolled-back", "rolling-back"].contains(&state), "{name}: {message}");
            tree.0 = Is::Gone;
        } else if result["isError"] == true {
            let state = result["_meta"]["skillhost/rollback"]["state"].as_str().unwrap_or_default();
            assert!(["rolled-back", "rolling-back"].contains(&state), "{name}: {message}");
            tree.0 = Is::Gone;
        } else {
            *tree = (Is::Done, Some(crate::ledger::id(result)));
        }
        true
    }
}

/// Every call there was, newest first.
fn all_calls(client: &mut Client) -> Vec<Value> {
    let mut all: Vec<Value> = vec![];
    loop {
        let before = all.last().map_or(json!({}), |last| json!({"before": last["id"]}));
        let list = client.call("list_calls", before)["structuredContent"].take();
        all.extend(list["calls"].as_array().unwrap().iter().cloned());
        if list["more"] != true {
            return all;
        }
    }
}

/// Wait until nothing is under way any more.
fn until_quiet(host: &Host, client: &mut Client) {
    eventually(|| {
        let busy = |call: &Value| ["running", "rolling-back"].contains(&call["state"].as_str().unwrap());
        (!all_calls(client).iter().any(busy)).then_some(())
    });
    eventually(|| {
        let list = host.json(&["saga", "list", "--state", "rolling-back", "--json"]);
        list["sagas"].as_array().unwrap().is_empty().then_some(())
    });
}

fn check(host: &Host, history: &History) {
    let mut client = host.stdio();
    until_quiet(host, &mut client);
    let world = world(host);
    for (name, (is, _)) in &history.trees {
        let there = keys(name).iter().filter(|key| world.contains_key(*key)).count();
        assert!([0, 3].contains(&there), "{name} is there by halves: {there} of 3, {is:?}");
        match is {
            Is::Gone => assert_eq!(there, 0, "{name} was taken back"),
            Is::Done if !history.undoing.contains(name) => assert_eq!(there, 3, "{name} was done"),
            Is::Done | Is::Unheard => {}
        }
    }
    // Files on their way to a name, of which nobody sees anything, are left behind by the skill.
    let mut names = world.keys().filter(|name| !name.starts_with('.'));
    let all: BTreeSet<_> = history.trees.keys().flat_map(|name| keys(name.as_str())).collect();
    assert!(names.all(|name| all.contains(name)), "something else is left: {:?}", world.keys());
    // And what is there can be taken back still.
    for (is, id) in history.trees.values() {
        if let (Is::Done, Some(id)) = (is, id) {
            undone(&mut client, id);
        }
    }
    let stuck = host.json(&["saga", "list", "--state", "stuck,partial", "--json"]);
    assert_eq!(stuck["sagas"], json!([]), "{stuck}");
    let count = |wanted: Is| history.trees.values().filter(|(is, _)| *is == wanted).count();
    let undone = story(host).iter().filter(|line| line.starts_with("undo")).count();
    println!(
        "{} done, {} gone, {} unheard of, {undone} undone",
        count(Is::Done),
        count(Is::Gone),
        count(Is::Unheard)
    );
    assert!(count(Is::Done) > 0 && count(Is::Gone) > 0 && undone > 0, "there was no load");
}

#[test]
fn whatever_a_killed_host_was_doing_or_undoing_is_whole_or_gone() {
    let host = ledgers(&["ledger", "two"], "");
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
    check(&host, &history);
}

#[test]
fn beside_a_host_that_lives_too() {
    let host = ledgers(&["ledger", "two"], "");
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
    check(&host, &history);
}

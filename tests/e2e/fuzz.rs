//! Messages from a grammar, and what has gone wrong with them, over stdio and HTTP: the host lives, and answers each that asks.
//!
//! `SKILLHOST_FUZZ_SECONDS` says for how long; `SKILLHOST_FUZZ_SEED` from which seed on, and `SKILLHOST_FUZZ_CASE` which case alone:
//! both are printed.
#![allow(clippy::print_stderr, reason = "whoever runs it longer wants to know what was run")]

mod grammar;
mod http;
mod oracle;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    time::Duration,
};

use grammar::{Case, Dice, Opening, World, all_capabilities, answer, cases, modern_meta};
use oracle::Expect;
use proptest::{
    strategy::{Strategy as _, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use skillhost_e2e::{Host, Raw, component};
use tokio::time::Instant;

use crate::empty;

/// How long anything that is answered at all may take: calls end after a second, and the machine may be busy.
const SLOW: Duration = Duration::from_secs(20);
/// Cases that one process sees.
const CASES: usize = 60;
/// Different faults that are told of in one run.
const FAULTS: usize = 16;
/// How long a failing case may be made smaller.
const SHRINK: Duration = Duration::from_secs(20);

/// What is wrong. The same `class` is told of once.
#[derive(Debug, Clone)]
struct Fault {
    class: String,
    detail: String,
}

/// How the classes begin of what no host goes on after.
const GRAVE: &str = "the host";

fn fault(class: impl Into<String>, detail: impl Into<String>) -> Fault {
    Fault { class: class.into(), detail: detail.into() }
}

/// What cases are run against, over one transport.
trait Subject: Sized {
    const NAME: &'static str;
    /// Whether a wrong answer leaves those to other messages as they are.
    const SEPARATE: bool;

    /// A fresh host that is spoken to like this.
    fn start(host: &Host, opening: Opening) -> Self;

    fn run(&mut self, case: &Case, world: &World) -> Result<(), Fault>;

    /// Messages that were sent.
    fn sent(&self) -> u64;

    /// Let it end.
    fn end(self) -> Result<(), Fault>;
}

#[test]
fn the_host_answers_whatever_comes_over_stdio() {
    fuzz::<Stdio>();
}

#[test]
fn the_host_answers_whatever_comes_over_http() {
    fuzz::<http::Http>();
}

fn host() -> Host {
    let host = empty().config(
        "[defaults]\nbreaker = \"off\"\nretry = \"off\"\nredelivery = \"off\"\nundo = \"off\"\ntimeout = \"1s\"\n\
         [skills.whole.grants]\nkeyvalue = true",
    );
    for name in ["text.wasm", "json.wasm", "whole.wasm"] {
        host.put(name, &component(name));
    }
    let fixtures = component("fixtures/conformance.wasm");
    host.put("conformance.wasm", &fixtures);
    host
}

/// What the host offers.
fn world(host: &Host) -> World {
    let mut client = host.stdio();
    let listed = client.request("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools");
    let tools = tools
        .iter()
        .map(|tool| (tool["name"].as_str().expect("a name").to_owned(), tool["inputSchema"].clone()));
    World { tools: tools.collect() }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The case of this seed, which can be made smaller.
fn tree(seed: u64) -> impl ValueTree<Value = Case> {
    let mut dice = Dice::new(seed);
    let bytes: Vec<u8> = (0..4).flat_map(|_| dice.roll().to_le_bytes()).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    cases().new_tree(&mut runner).expect("nothing is filtered")
}

fn fuzz<S: Subject>() {
    let host = host();
    let world = world(&host);
    let budget = number("SKILLHOST_FUZZ_SECONDS");
    // As long as nobody asks for more, a change that is tested meets what the one before it met.
    let fresh = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let seed = number("SKILLHOST_FUZZ_SEED").unwrap_or_else(|| budget.map_or(20_260_728, |_| fresh()));
    let only = number("SKILLHOST_FUZZ_CASE");
    let until = Instant::now() + Duration::from_secs(budget.unwrap_or(5));
    let mut subjects: HashMap<Opening, (S, usize)> = HashMap::new();
    let mut faults = BTreeMap::new();
    let (mut seeds, mut ran, mut sent) = (Dice::new(seed), 0, 0);
    let ended = |subject: S, faults: &mut BTreeMap<String, String>| {
        if let Err(Fault { class, detail }) = subject.end() {
            faults.entry(class).or_insert(detail);
        }
    };
    while (only.is_none() || ran == 0) && Instant::now() < until && faults.len() < FAULTS {
        let case_seed = only.unwrap_or_else(|| seeds.roll());
        let mut tree = tree(case_seed);
        let case = tree.current();
        ran += 1;
        let (subject, runs) =
            subjects.entry(case.opening).or_insert_with(|| (S::start(&host, case.opening), 0));
        *runs += 1;
        let before = subject.sent();
        let outcome = subject.run(&case, &world);
        sent += subject.sent() - before;
        let over = outcome.as_ref().is_err_and(|found| !S::SEPARATE || found.class.starts_with(GRAVE));
        if over || *runs == CASES {
            let (subject, _) = subjects.remove(&case.opening).expect("it is there");
            if !over {
                ended(subject, &mut faults);
            }
        }
        if let Err(found) = outcome
            && !faults.contains_key(&found.class)
        {
            let (smallest, again) = shrunk::<S>(&host, &world, &mut tree, &found.class);
            let told = format!(
                "{}\nSKILLHOST_FUZZ_CASE={case_seed:#x}: {}\n{}",
                found.detail,
                match again {
                    Some(fault) => fault.detail,
                    None => "not again on a fresh host; it may take the cases before it".into(),
                },
                shown(&smallest, &world),
            );
            faults.insert(found.class, told);
        }
    }
    for (_, (subject, _)) in subjects {
        ended(subject, &mut faults);
    }
    let ran = format!("fuzz over {}: seed {seed:#x}, {ran} cases, {sent} messages", S::NAME);
    eprintln!("{ran}");
    let faults: String =
        faults.iter().fold(String::new(), |all, (class, told)| all + "\n\n=== " + class + "\n" + told);
    assert!(faults.is_empty(), "{ran}{faults}");
}

/// A smaller case that shows the same on a fresh host; whether any did.
fn shrunk<S: Subject>(
    host: &Host,
    world: &World,
    tree: &mut impl ValueTree<Value = Case>,
    class: &str,
) -> (Case, Option<Fault>) {
    let until = Instant::now() + SHRINK;
    let fails = |case: &Case| {
        let mut subject = S::start(host, case.opening);
        let outcome = subject.run(case, world).and_then(|()| subject.end());
        outcome.err().filter(|fault| fault.class == class)
    };
    let mut smallest = (tree.current(), None);
    smallest.1 = fails(&smallest.0);
    if smallest.1.is_none() || !tree.simplify() {
        return smallest;
    }
    while Instant::now() < until {
        let case = tree.current();
        let more = match fails(&case) {
            Some(fault) => {
                smallest = (case, Some(fault));
                tree.simplify()
            }
            None => tree.complicate(),
        };
        if !more {
            break;
        }
    }
    smallest
}

/// A case for people.
fn shown(case: &Case, world: &World) -> String {
    let mut text = format!("{:?}\n", case.opening);
    for (line, written) in written(case, world, 1) {
        let _ = writeln!(text, "{}", short(&written.bytes));
        if !line.head.is_empty() {
            let _ = writeln!(
                text,
                "    (over HTTP: {})",
                http::head(&line, &written, "session", "2025-11-25").shown()
            );
        }
    }
    text
}

fn short(bytes: &[u8]) -> String {
    const MAX: usize = 700;
    let text = bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\\\", "\\");
    match text.char_indices().nth(MAX) {
        None => text,
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], bytes.len()),
    }
}

/// The messages of a case, with the lines that they come from. `n`: the first of numbers that nobody else uses.
fn written(case: &Case, world: &World, n: u64) -> Vec<(grammar::Line, grammar::Written)> {
    let mut earlier = vec![];
    let lines = case.lines.iter().zip(n..).map(|(line, n)| {
        let written = line.write(world, n, &earlier);
        earlier.push(written.id.clone());
        (line.clone(), written)
    });
    lines.collect()
}

/// Names that messages use for what only the host can tell them.
#[derive(Default)]
struct Told {
    task: Option<String>,
    state: Option<String>,
}

impl Told {
    fn look(&mut self, message: &Value) {
        let result = &message["result"];
        for (kept, found) in [(&mut self.task, &result["taskId"]), (&mut self.state, &result["requestState"])]
        {
            if let Some(found) = found.as_str() {
                *kept = Some(found.to_owned());
            }
        }
    }

    fn put(&self, bytes: Vec<u8>) -> Vec<u8> {
        String::from_utf8(bytes)
            .map_or_else(|error| error.into_bytes(), |text| self.put_text(text).into_bytes())
    }

    fn put_text(&self, text: String) -> String {
        if !text.contains('$') {
            return text;
        }
        let text = text.replace("$TASK", self.task.as_deref().unwrap_or("none"));
        text.replace("$STATE", self.state.as_deref().unwrap_or("none"))
    }
}

/// What an answer says, without what differs from one to the next.
fn why(message: &Value) -> String {
    let text = message["error"]["message"].as_str().unwrap_or_default();
    let text = text.split(" at line").next().unwrap_or_default();
    format!(" ({})", text.chars().filter(|c| !c.is_ascii_digit()).take(70).collect::<String>())
}

/// What is to come of some messages, and what has come.
#[derive(Default)]
struct Book {
    /// By the id of the answer: how many are to come at least and at most, and how many came.
    sound: HashMap<String, (usize, usize, usize)>,
    /// Of those that are answered in one of several ways: their ids, and the same of them together.
    others: (Vec<String>, (usize, usize, usize)),
    /// Answers that may still come to messages before these: nobody waits for them.
    late: HashMap<String, usize>,
}

impl Book {
    fn enter(&mut self, Expect { keys, min, max }: Expect) {
        match &keys[..] {
            [] => {}
            [key] if !key.is_null() => {
                let entry = self.sound.entry(key.to_string()).or_default();
                // Of requests that have the same id at once, only one need be answered.
                (entry.0, entry.1) = (entry.0.max(min), entry.1 + max);
            }
            _ => {
                let (ids, counts) = &mut self.others;
                ids.extend(keys.iter().map(Value::to_string));
                (counts.0, counts.1) = (counts.0 + min, counts.1 + max);
            }
        }
    }

    /// An answer has come.
    fn answered(&mut self, message: &Value) -> Result<(), Fault> {
        let id = message["id"].to_string();
        let (ids, others) = &mut self.others;
        let counts = match self.sound.get_mut(&id) {
            Some(counts) if counts.2 < counts.1 || !ids.contains(&id) => counts,
            _ if others.2 < others.1 && (message["id"].is_null() || ids.contains(&id)) => others,
            _ if self.late.get(&id).is_some_and(|left| *left > 0) => {
                *self.late.get_mut(&id).expect("it is there") -= 1;
                return Ok(());
            }
            _ if message["id"].is_null() || ids.contains(&id) => others,
            _ => {
                return Err(fault(
                    format!("an answer that nobody waits for{}", why(message)),
                    message.to_string(),
                ));
            }
        };
        counts.2 += 1;
        // An answer without an id may have been a late one, which was taken for one of these.
        if counts.2 > counts.1
            && let Some(left) = self.late.get_mut("null").filter(|left| **left > 0)
        {
            (*left, counts.2) = (*left - 1, counts.2 - 1);
        }
        match counts.2 > counts.1 {
            true => {
                let class = if message["id"].is_null() { "without an id" } else { "by an id" };
                Err(fault(
                    format!("one answer more {class} than there are messages for it"),
                    message.to_string(),
                ))
            }
            false => Ok(()),
        }
    }

    /// What may still come after all that must has.
    fn close(mut self) -> HashMap<String, usize> {
        let (ids, (_, max, came)) = self.others;
        let sound = self.sound.into_iter().map(|(id, (_, max, came))| (id, max.saturating_sub(came)));
        for (id, left) in sound.chain(ids.into_iter().map(|id| (id, max.saturating_sub(came)))) {
            if left > 0 {
                *self.late.entry(id).or_default() += left;
            }
        }
        self.late
    }

    /// What is still to come.
    fn missing(&self) -> Option<String> {
        let sound =
            self.sound.iter().find(|(_, (min, _, came))| came < min).map(|(id, _)| short(id.as_bytes()));
        let (min, _, came) = self.others.1;
        sound.or_else(|| (came < min).then(|| format!("{} without an id", min - came)))
    }
}

/// A host over stdio.
struct Stdio {
    raw: Raw,
    opening: Opening,
    told: Told,
    late: HashMap<String, usize>,
    /// Messages of the case before this one, and of this.
    sent_last: [Vec<Vec<u8>>; 2],
    next: u64,
    sent: u64,
}

impl Stdio {
    /// The same fault, with the messages that it may come from.
    fn explained(&self, answer: &Value, found: Fault) -> Fault {
        let id = answer["id"].to_string();
        let mut detail = found.detail;
        for (when, lines) in ["before", "now"].iter().zip(&self.sent_last) {
            for line in lines.iter().filter(|line| String::from_utf8_lossy(line).contains(&id)) {
                let _ = write!(detail, "\n  sent {when}: {}", short(line));
            }
        }
        fault(found.class, detail)
    }

    /// The next message.
    fn message(&mut self, until: Instant) -> Result<Option<Value>, Fault> {
        let line = match self.raw.line(until.saturating_duration_since(Instant::now())) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(_) => return Err(self.gone()),
        };
        let message: Value = serde_json::from_slice(&line)
            .map_err(|error| fault("a line that is no JSON", format!("{error}: {}", short(&line))))?;
        if message["jsonrpc"] != "2.0" {
            return Err(fault("a line that is no message", message.to_string()));
        }
        self.told.look(&message);
        Ok(Some(message))
    }

    fn gone(&mut self) -> Fault {
        let status = skillhost_e2e::eventually(|| self.raw.ended());
        fault("the host is gone", format!("{status}; its log:\n{}", self.raw.last_log(8)))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.raw.write(&[bytes, b"\n"].concat()).is_err() {
            return Err(self.gone());
        }
        self.sent += 1;
        Ok(())
    }

    /// Answer what the host asks, soundly or not, so that it does not wait for ever.
    fn answer(&mut self, asked: &Value) -> Result<(), Fault> {
        let dice = &mut Dice::new(self.next.wrapping_add(self.sent));
        let (id, result) = (&asked["id"], answer(dice));
        let mut said = vec![json!({"jsonrpc": "2.0", "id": id, "result": result})];
        match dice.below(4) {
            0 => said[0]["jsonrpc"] = "1.0".into(),
            1 => said.push(said[0].clone()),
            _ => {}
        }
        said.push(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -1, "message": "no"}}));
        said.iter().try_for_each(|message| self.send(message.to_string().as_bytes()))
    }

    /// Take messages until `enough`.
    fn read(&mut self, book: &mut Book, enough: impl Fn(&Book) -> bool, what: &str) -> Result<(), Fault> {
        let until = Instant::now() + SLOW;
        while !enough(book) {
            let Some(message) = self.message(until)? else {
                let missing = book.missing().unwrap_or_default();
                return Err(fault(
                    format!("no answer {what}"),
                    format!("{missing} in {SLOW:?}; log:\n{}", self.raw.last_log(8)),
                ));
            };
            match (message.get("method").is_some(), message.get("id").is_some()) {
                (true, true) => self.answer(&message)?,
                (true, false) => {}
                (false, _) => book.answered(&message).map_err(|found| self.explained(&message, found))?,
            }
        }
        Ok(())
    }
}

impl Subject for Stdio {
    const NAME: &'static str = "stdio";
    const SEPARATE: bool = false;

    fn start(host: &Host, opening: Opening) -> Self {
        let mut raw = Raw::start(host.command(&["stdio"]));
        if let Opening::Handshake(version) = opening {
            let params = json!({"protocolVersion": version, "capabilities": all_capabilities(),
                "clientInfo": {"name": "fuzz", "version": "1"}});
            let message = json!({"jsonrpc": "2.0", "id": "open", "method": "initialize", "params": params});
            raw.write(format!("{message}\n").as_bytes()).expect("it reads");
        } else {
            let params = json!({"_meta": modern_meta(json!({}))});
            let message = json!({"jsonrpc": "2.0", "id": "open", "method": "tools/list", "params": params});
            raw.write(format!("{message}\n").as_bytes()).expect("it reads");
        }
        let (told, late) = (Told::default(), HashMap::new());
        let mut stdio = Self { raw, opening, told, late, sent_last: Default::default(), next: 1, sent: 0 };
        let mut book = Book::default();
        book.enter(Expect { keys: vec!["open".into()], min: 1, max: 1 });
        stdio.read(&mut book, |book| book.missing().is_none(), "to the first message").expect("it answers");
        if opening != Opening::None {
            stdio.send(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).expect("it reads");
        }
        stdio
    }

    fn run(&mut self, case: &Case, world: &World) -> Result<(), Fault> {
        let written = written(case, world, self.next);
        self.next += case.lines.len() as u64 + 1;
        let lines: Vec<Vec<u8>> = written
            .into_iter()
            .flat_map(|(_, written)| {
                let bytes = self.told.put(written.bytes);
                bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()
            })
            .collect();
        let mut book = Book { late: std::mem::take(&mut self.late), ..Book::default() };
        let all: Vec<_> =
            lines.iter().map(|line| oracle::of(line.strip_suffix(b"\r").unwrap_or(line))).collect();
        for (n, expected) in all.iter().enumerate() {
            let mut expected = expected.clone();
            let cancelled = |key: &Value| lines.iter().any(|line| oracle::cancels(line, key));
            // Of two requests of one id at once, such as 100 and 1e2, only one need be answered.
            let twice = |key: &Value| {
                !key.is_null()
                    && all.iter().enumerate().any(|(at, other)| at != n && other.keys.contains(key))
            };
            if expected.keys.iter().any(cancelled)
                || expected.keys.len() > 1 && expected.keys.iter().any(twice)
            {
                expected.min = 0;
            }
            book.enter(expected);
        }
        for line in &lines {
            self.send(line)?;
        }
        self.sent_last.swap(0, 1);
        self.sent_last[1] = lines;
        self.read(&mut book, |book| book.missing().is_none(), "to a message")?;
        let probe = format!("probe-{}", self.next);
        book.enter(Expect { keys: vec![probe.clone().into()], min: 1, max: 1 });
        let message = match self.opening {
            Opening::Handshake(_) => json!({"jsonrpc": "2.0", "id": probe, "method": "ping"}),
            Opening::None => json!({"jsonrpc": "2.0", "id": probe, "method": "prompts/list",
                "params": {"_meta": modern_meta(json!({}))}}),
        };
        self.send(message.to_string().as_bytes())?;
        self.read(&mut book, |book| book.missing().is_none(), "to a sound message after the others")?;
        self.late = book.close();
        match self.raw.panics().first() {
            Some(line) => Err(fault("the host panics", line.clone())),
            None => Ok(()),
        }
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn end(mut self) -> Result<(), Fault> {
        // The last line has no end.
        let _ = self.raw.write(br#"{"jsonrpc":"2.0","id":"cut"#);
        let Some((_, code)) = self.raw.close() else {
            return Err(fault("the host does not end", self.raw.last_log(8)));
        };
        if let Some(line) = self.raw.panics().first() {
            return Err(fault("the host panics", line.clone()));
        }
        match code {
            Some(0) => Ok(()),
            code => Err(fault("the host does not end well", format!("{code:?}: {}", self.raw.last_log(8)))),
        }
    }
}

/// Whoever says something before there is a handshake is told, or not heard.
#[test]
fn what_comes_before_the_handshake_does_not_end_the_host() {
    let host = host();
    let mut faults = String::new();
    for first in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
        "{",
    ] {
        let mut raw = Raw::start(host.command(&["stdio"]));
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "fuzz", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": "open", "method": "initialize", "params": params});
        let written = raw.write(format!("{first}\n").as_bytes());
        let _ = written.and_then(|()| raw.write(format!("{message}\n").as_bytes()));
        let opened = loop {
            match raw.line(SLOW) {
                Ok(Some(line)) if String::from_utf8_lossy(&line).contains(r#""id":"open""#) => break true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break false,
            }
        };
        if !opened {
            let _ = writeln!(faults, "after {first}\n{}", raw.last_log(1));
        }
    }
    assert!(faults.is_empty(), "no handshake any more:\n{faults}");
}

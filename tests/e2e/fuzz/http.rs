//! The same over HTTP, where heads can be wrong, too.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use skillhost_e2e::{
    Host, Raw,
    wire::{self, Reply},
};
use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

use super::{
    Book, Fault, SLOW, Subject, Told, fault,
    grammar::{Case, Dice, Head, MODERN, Opening, World, Written, all_capabilities, answer, modern_meta},
    oracle::{self, Expect},
    short, written,
};

/// A host over HTTP.
pub(super) struct Http {
    raw: Raw,
    url: Arc<str>,
    runtime: Runtime,
    /// The revision of requests that belong to a session.
    version: &'static str,
    session: Option<String>,
    told: Told,
    next: u64,
    sent: u64,
}

/// A message on its way.
struct Exchange {
    url: Arc<str>,
    version: &'static str,
    session: Option<String>,
    head: Head,
    bytes: Vec<u8>,
    expected: Expect,
    /// Nothing is wrong with its head.
    sound: bool,
    given_up: bool,
}

/// Headers of any request.
fn plain() -> Vec<(String, Vec<u8>)> {
    line(&[("content-type", "application/json"), ("accept", "application/json, text/event-stream")])
}

fn line(all: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    all.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

/// Headers of a request without a session.
fn modern(method: &str, name: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let mut all = plain();
    all.extend(line(&[("mcp-protocol-version", MODERN), ("mcp-method", method)]));
    // What no header can say goes without one.
    all.extend(name.map(|name| ("mcp-name".to_owned(), name.as_bytes().to_vec())));
    all
}

fn legacy(session: Option<&str>, version: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = plain();
    all.extend(session.into_iter().flat_map(|id| line(&[("mcp-session-id", id)])));
    all.extend(line(&[("mcp-protocol-version", version)]));
    all
}

/// The head of a message, with all that is wrong with it.
pub(super) fn head(line: &super::grammar::Line, written: &Written, session: &str, version: &str) -> Head {
    let method = written.method.as_deref().unwrap_or_default();
    let lines = match line.modern {
        true => modern(method, written.name.as_deref()),
        // The handshake opens another session.
        false if method == "initialize" => plain(),
        false => legacy(Some(session), version),
    };
    let mut head = Head { method: "POST", path: "/mcp", lines };
    line.head.iter().for_each(|change| change.head(&mut head));
    head.lines.retain(|(_, value)| fits(value));
    head
}

impl Head {
    /// For people.
    pub(super) fn shown(&self) -> String {
        let lines = self.lines.iter().map(|(name, value)| format!("{name}: {}", short(value)));
        format!("{} {}; {}", self.method, self.path, lines.collect::<Vec<_>>().join("; "))
    }
}

fn fits(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f || *byte == b'\t')
}

impl Http {
    /// A session of an older era.
    fn open(&mut self) -> Result<(), Fault> {
        let params = json!({"protocolVersion": self.version, "capabilities": all_capabilities(),
            "clientInfo": {"name": "fuzz", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let url = Arc::clone(&self.url);
        let session = self.runtime.block_on(async {
            let reply = wire::send("POST", &url, &plain(), message.to_string().into_bytes()).await?;
            let session = reply.session().map(str::to_owned);
            reply.whole().await?;
            Ok::<_, String>(session)
        });
        match session {
            Ok(Some(session)) => self.session = Some(session),
            Ok(None) => return Err(fault("no session", "a handshake opens none")),
            Err(error) => return Err(self.unwell(error)),
        }
        let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.ask(legacy(self.session.as_deref(), self.version), &done).map(|_| ())
    }

    fn unwell(&mut self, error: String) -> Fault {
        match self.raw.ended() {
            Some(status) => fault("the host is gone", format!("{status}; {}", self.raw.last_log(8))),
            None => fault("the host does not reply", error),
        }
    }

    /// Send a sound message; status and body.
    fn ask(&mut self, headers: Vec<(String, Vec<u8>)>, message: &Value) -> Result<(u16, String), Fault> {
        let (url, body) = (Arc::clone(&self.url), message.to_string().into_bytes());
        let reply = self.runtime.block_on(async {
            let asked = async {
                let reply = wire::send("POST", &url, &headers, body).await?;
                let status = reply.status;
                Ok::<_, String>((status, String::from_utf8_lossy(&reply.whole().await?).into_owned()))
            };
            timeout(SLOW, asked).await
        });
        reply.unwrap_or_else(|_| Err("it takes too long".into())).map_err(|error| self.unwell(error))
    }

    fn exchange(&self, line: &super::grammar::Line, mut written: Written) -> Exchange {
        let bytes = self.told.put(std::mem::take(&mut written.bytes));
        written.name = written.name.map(|name| self.told.put_text(name));
        let head = head(line, &written, self.session.as_deref().unwrap_or_default(), self.version);
        let sayable = written.method.iter().chain(&written.name).all(|text| fits(text.as_bytes()));
        let sound = line.head.is_empty() && sayable;
        let expected = oracle::of(&bytes);
        Exchange {
            url: Arc::clone(&self.url),
            version: self.version,
            session: self.session.clone(),
            head,
            bytes,
            expected,
            sound,
            given_up: false,
        }
    }
}

impl Subject for Http {
    const NAME: &'static str = "HTTP";
    const SEPARATE: bool = true;

    fn start(host: &Host, opening: Opening) -> Self {
        let raw = Raw::start(host.command(&["serve", "--listen", "127.0.0.1:0"]));
        let url = raw.url().into();
        let runtime = Runtime::new().expect("a runtime");
        let version = match opening {
            Opening::Handshake(version) => version,
            Opening::None => "2025-03-26",
        };
        let told = Told::default();
        let mut http = Self { raw, url, runtime, version, session: None, told, next: 1, sent: 0 };
        // Skills are there when it answers.
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list",
            "params": {"_meta": modern_meta(json!({}))}});
        http.ask(modern("tools/list", None), &list).expect("it answers");
        http.open().expect("a session");
        http
    }

    fn run(&mut self, case: &Case, world: &World) -> Result<(), Fault> {
        let written = written(case, world, self.next);
        self.next += case.lines.len() as u64 + 1;
        let mut all: Vec<_> =
            written.into_iter().map(|(line, written)| self.exchange(&line, written)).collect();
        let bytes: Vec<_> = all.iter().map(|one| one.bytes.clone()).collect();
        let keys: Vec<_> = all.iter().map(|one| one.expected.keys.clone()).collect();
        for (n, one) in all.iter_mut().enumerate() {
            let cancelled =
                |key: &Value| !key.is_null() && bytes.iter().any(|line| oracle::cancels(line, key));
            // A session cannot tell two requests of one id apart.
            let twice = |key: &Value| keys.iter().enumerate().any(|(at, all)| at != n && all.contains(key));
            // One that ends the session ends what runs in it.
            one.given_up = one.expected.keys.iter().any(|key| cancelled(key) || twice(key));
        }
        let ends = all.iter().any(|one| one.head.method == "DELETE");
        self.sent += all.len() as u64;
        let outcome = self.runtime.block_on(async {
            let mut running = JoinSet::new();
            for mut one in all {
                one.given_up |= ends;
                running.spawn(one.run());
            }
            let mut outcomes = vec![];
            while let Some(outcome) = running.join_next().await {
                outcomes.push(outcome.expect("no panic"));
            }
            outcomes
        });
        let mut found = None;
        for outcome in outcome {
            match outcome {
                Ok(messages) => messages.iter().for_each(|message| self.told.look(message)),
                Err(fault) => found = found.or(Some(fault)),
            }
        }
        if let Some(status) = self.raw.ended() {
            return Err(fault("the host is gone", format!("{status}; {}", self.raw.last_log(8))));
        }
        if let Some(line) = self.raw.panics().first() {
            return Err(fault("the host panics", line.clone()));
        }
        found.map_or(Ok(()), Err)?;
        self.probe()
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn end(mut self) -> Result<(), Fault> {
        self.runtime.shutdown_background();
        let killed = std::process::Command::new("kill").arg(self.raw.id().to_string()).status();
        assert!(killed.is_ok_and(|status| status.success()), "it runs");
        let Some((_, code)) = self.raw.close() else {
            return Err(fault("the host does not end", self.raw.last_log(8)));
        };
        match (self.raw.panics().first(), code) {
            (Some(line), _) => Err(fault("the host panics", line.clone())),
            (None, Some(0)) => Ok(()),
            (None, code) => {
                Err(fault("the host does not end well", format!("{code:?}: {}", self.raw.last_log(8))))
            }
        }
    }
}

impl Http {
    /// Sound messages of both eras are still answered.
    fn probe(&mut self) -> Result<(), Fault> {
        let (next, meta) = (self.next, modern_meta(json!({})));
        for method in ["server/discover", "prompts/list"] {
            let message = json!({"jsonrpc": "2.0", "id": next, "method": method, "params": {"_meta": meta}});
            let (status, body) = self.ask(modern(method, None), &message)?;
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            if status != 200 || answer["id"] != next || !answer["result"].is_object() {
                return Err(fault(
                    "no answer to a sound message after the others",
                    format!("{status}: {body}"),
                ));
            }
        }
        let ping = json!({"jsonrpc": "2.0", "id": format!("probe-{next}"), "method": "ping"});
        let headers = legacy(self.session.as_deref(), self.version);
        let (status, body) = self.ask(headers, &ping)?;
        match status {
            200 if body.contains(&format!("probe-{next}")) => Ok(()),
            // It was ended, by a message that asked for it.
            404 => self.open(),
            _ => Err(fault("no answer to a sound message after the others", format!("{status}: {body}"))),
        }
    }
}

/// What is read of a stream that has no end of its own.
const OPEN: Duration = Duration::from_millis(300);

impl Exchange {
    async fn run(self) -> Result<Vec<Value>, Fault> {
        let shown = format!("{}\n{}", self.head.shown(), short(&self.bytes));
        let told = |found: Fault| fault(found.class, format!("{}\n{shown}", found.detail));
        let url = self.url.replace("/mcp", self.head.path);
        let reply = wire::send(self.head.method, &url, &self.head.lines, self.bytes.clone());
        match timeout(SLOW, reply).await {
            Err(_) => Err(told(fault("the host does not reply", format!("in {SLOW:?}")))),
            // It has not even begun to say what: too long for a head.
            Ok(Err(error)) => Err(told(fault("the host does not reply", error))),
            Ok(Ok(reply)) => self.read(reply).await.map_err(told),
        }
    }

    async fn read(&self, mut reply: Reply) -> Result<Vec<Value>, Fault> {
        let (status, kind) = (reply.status, reply.kind().to_owned());
        if status >= 500 {
            let body = reply.whole().await.unwrap_or_default();
            return Err(fault(format!("status {status}"), short(&body)));
        }
        if reply.is_stream() {
            return self.stream(&mut reply).await;
        }
        let whole = timeout(SLOW, reply.whole()).await;
        let body = whole
            .map_err(|_| fault("a body without an end", String::new()))?
            .map_err(|error| fault("no body", error))?;
        // What is no request of MCP gets no answer of MCP.
        if self.head.method != "POST" || !self.head.path.starts_with("/mcp") {
            return Ok(vec![]);
        }
        if status == 202 && body.is_empty() {
            return match self.expected.min == 0 || !self.sound || self.given_up {
                true => Ok(vec![]),
                false => Err(fault("status 202 for what asks for an answer", String::new())),
            };
        }
        let message: Value = match serde_json::from_slice(&body) {
            Ok(message) if kind.starts_with("application/json") => message,
            _ => {
                let text = short(&body);
                let words: Vec<_> = text.split(' ').take(3).filter(|word| !word.contains('`')).collect();
                return Err(fault(
                    format!("status {status} with a body that is no message: {}…", words.join(" ")),
                    format!("{kind}: {}", short(&body)),
                ));
            }
        };
        self.check(std::slice::from_ref(&message), status)?;
        Ok(vec![message])
    }

    async fn stream(&self, reply: &mut Reply) -> Result<Vec<Value>, Fault> {
        let endless = self.head.method == "GET" || self.expected.min == 0;
        let within = if endless || self.given_up { OPEN } else { SLOW };
        let mut messages = vec![];
        let mut asked = 0;
        loop {
            let data = match timeout(within, reply.event()).await {
                Err(_) if endless || self.given_up => return Ok(messages),
                Err(_) => return Err(fault("a stream without an end", format!("{messages:?}"))),
                Ok(Err(error)) => return Err(fault("a stream that is none", error)),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(data))) => data,
            };
            let message: Value = serde_json::from_str(&data)
                .map_err(|error| fault("an event that is no message", format!("{error}: {data}")))?;
            match (message.get("method").is_some(), message.get("id").is_some()) {
                (true, true) => {
                    asked += 1;
                    self.answer(&message, asked).await?;
                }
                (true, false) => {}
                (false, _) => messages.push(message),
            }
        }
        if self.head.method == "POST" && !(self.given_up && messages.is_empty()) {
            self.check(&messages, reply.status)?;
        }
        Ok(messages)
    }

    /// Exactly one answer, by the right id.
    fn check(&self, messages: &[Value], status: u16) -> Result<(), Fault> {
        let mut book = Book::default();
        let mut expected = self.expected.clone();
        if !self.sound || status == 404 || status >= 400 && expected.keys.is_empty() || expected.max == 0 {
            // What is wrong with its head may be all that is looked at, as when its session has ended.
            expected.keys.push(Value::Null);
            expected.max = 1;
        }
        book.enter(expected);
        for message in messages {
            if message["jsonrpc"] != "2.0"
                || message.get("result").is_some() == message.get("error").is_some()
            {
                return Err(fault("a body that is no message", message.to_string()));
            }
            book.answered(message)
                .map_err(|found| fault(found.class, format!("status {status}: {}", found.detail)))?;
        }
        match book.missing() {
            None => Ok(()),
            Some(missing) => {
                Err(fault("no answer to a message", format!("{missing}: {status} {messages:?}")))
            }
        }
    }

    /// Answer what the host asks, soundly or not, so that it does not wait for ever.
    async fn answer(&self, asked: &Value, n: u64) -> Result<(), Fault> {
        let dice = &mut Dice::new(n.wrapping_add(self.bytes.len() as u64));
        let (id, result) = (&asked["id"], answer(dice));
        let mut said = vec![json!({"jsonrpc": "2.0", "id": id, "result": result})];
        if dice.chance(25) {
            said[0]["jsonrpc"] = "1.0".into();
        }
        said.push(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -1, "message": "no"}}));
        for message in said {
            let headers = legacy(self.session.as_deref(), self.version);
            let reply = wire::send("POST", &self.url, &headers, message.to_string().into_bytes()).await;
            let reply = reply.map_err(|error| fault("no reply to an answer", error))?;
            if reply.status >= 500 {
                let body = reply.whole().await.unwrap_or_default();
                return Err(fault("an answer is not taken", short(&body)));
            }
        }
        Ok(())
    }
}

//! HTTP as MCP uses it: a request whose answer is JSON, or a stream of events that lasts as long as both sides want.

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::{Shutdown, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use serde_json::{Value, json};

use crate::{PATIENCE, Speaks};

/// An answer, of which the messages come one by one. Dropping it hangs up.
pub struct Exchange {
    /// Of HTTP.
    pub status: u16,
    /// The session that was opened.
    pub session: Option<String>,
    socket: TcpStream,
    messages: Receiver<Value>,
    seen: Vec<Value>,
}

impl Exchange {
    /// Post a message to such as `http://127.0.0.1:4711/mcp`. Answers when the head of the answer is there.
    pub fn post(url: &str, headers: &[(&str, &str)], message: &Value) -> Self {
        Self::start("POST", url, headers, &message.to_string())
    }

    /// The same with another method.
    pub fn start(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let (address, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
        let mut socket = TcpStream::connect(address).expect("the server listens");
        let mut head = format!(
            "{method} /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{head}\r\n{body}").as_bytes()).expect("the server reads");
        let mut reader = BufReader::new(socket.try_clone().expect("a second handle"));
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).expect("the server answers");
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let head: Vec<_> = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty())).collect();
        let header = |wanted: &str| {
            let mut all = head.iter().filter_map(|line| line.split_once(':'));
            all.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
        };
        let chunked = header("transfer-encoding").is_some();
        let events = header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let (sender, messages) = channel();
        let body: Box<dyn Read + Send> =
            if chunked { Box::new(Chunks { inner: reader, left: 0 }) } else { Box::new(reader) };
        thread::spawn(move || read(body, events, &sender));
        Self { status, session: header("mcp-session-id"), socket, messages, seen: vec![] }
    }

    /// The next message; none when the answer is over.
    pub fn next_message(&mut self) -> Option<Value> {
        if !self.seen.is_empty() {
            return Some(self.seen.remove(0));
        }
        match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => Some(message),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// What has come so far.
    pub fn so_far(&mut self) -> Vec<Value> {
        self.seen.drain(..).chain(self.messages.try_iter()).collect()
    }

    /// Wait for a message. Others are kept for later.
    pub fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        if let Some(at) = self.seen.iter().position(&mut wanted) {
            return self.seen.remove(at);
        }
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|_| panic!("{what} did not come, but {:?}", self.seen));
            if wanted(&message) {
                return message;
            }
            self.seen.push(message);
        }
    }

    /// The response; what came before it is kept.
    pub fn response(&mut self) -> Value {
        self.wait_for("the response", |message| message.get("method").is_none())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Closed by the other side already, it may be.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn read(mut body: impl Read, events: bool, sender: &Sender<Value>) -> Option<()> {
    if !events {
        let mut text = String::new();
        body.read_to_string(&mut text).ok()?;
        return sender.send(serde_json::from_str(&text).ok()?).ok();
    }
    for line in BufReader::new(body).lines() {
        if let Some(message) =
            line.ok()?.strip_prefix("data:").and_then(|data| serde_json::from_str(data).ok())
        {
            sender.send(message).ok()?;
        }
    }
    None
}

/// A body in chunks.
struct Chunks<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.left == 0 {
            let mut line = String::new();
            if self.inner.read_line(&mut line)? == 0 {
                return Ok(0);
            }
            match (line.trim(), usize::from_str_radix(line.trim(), 16)) {
                ("", _) => {}
                (_, Ok(0) | Err(_)) => return Ok(0),
                (_, Ok(size)) => self.left = size,
            }
        }
        let most = into.len().min(self.left);
        let read = self.inner.read(&mut into[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// A session over HTTP, of the eras before 2026-07-28.
pub struct Session {
    url: String,
    id: String,
    next: u64,
}

impl Session {
    /// Open one, as a client that can do this.
    pub fn open(url: &str, capabilities: Value) -> Self {
        let info = json!({"name": "e2e", "version": "1"});
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": info});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let mut opened = Exchange::post(url, &[], &message);
        assert!(opened.response()["result"].is_object());
        let session = Self { url: url.to_owned(), id: opened.session.clone().expect("a session"), next: 0 };
        session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        session
    }

    /// Post any message.
    pub fn post(&self, message: &Value) -> Exchange {
        self.start("POST", &message.to_string())
    }

    fn start(&self, method: &str, body: &str) -> Exchange {
        let headers = [("mcp-session-id", &*self.id), ("mcp-protocol-version", "2025-11-25")];
        Exchange::start(method, &self.url, &headers, body)
    }

    /// End it.
    pub fn end(self) -> Exchange {
        self.start("DELETE", "")
    }

    /// The stream of what belongs to no request.
    pub fn listen(&self) -> Exchange {
        self.start("GET", "")
    }

    /// Send a request, whose answer comes over a stream of its own.
    pub fn begin(&mut self, method: &str, params: Value) -> Exchange {
        self.next += 1;
        self.post(&json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}))
    }

    /// Answer a request of the host.
    pub fn answer(&self, asked: &Value, result: Value) {
        self.post(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}));
    }
}

impl Speaks for Session {
    fn request(&mut self, method: &str, params: Value) -> Value {
        self.begin(method, params).response()
    }

    fn is_modern(&self) -> bool {
        false
    }
}

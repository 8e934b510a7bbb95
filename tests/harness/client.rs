//! A small MCP client over stdio, and a server over HTTP. Every wait is for an event, never for time.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::PATIENCE;

/// Tools of the host itself, which are there beside those of any skill.
const OWN: [&str; 8] = [
    "call_status",
    "list_calls",
    "undo_call",
    "saga_begin",
    "saga_call",
    "saga_commit",
    "saga_rollback",
    "search_tools",
];

/// A running `skillhost stdio`, initialized in the older era unless told otherwise.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    logs: Receiver<Value>,
    seen: Vec<Value>,
    next: u64,
    server: Value,
    // Stays as long as the process may look at it.
    _folder: Arc<TempDir>,
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<Value> {
    let (sender, receiver): (Sender<Value>, _) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            if sender.send(value).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Client {
    /// Shake hands as a client of 2025-11-25 that can do nothing.
    pub(crate) fn start(command: Command, folder: Arc<TempDir>) -> Self {
        Self::start_with(command, folder, json!({}))
    }

    /// The same as one that can do this.
    pub(crate) fn start_with(command: Command, folder: Arc<TempDir>, capabilities: Value) -> Self {
        let mut client = Self::silent(command, folder);
        let info = json!({"name": "e2e", "version": "1"});
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": info});
        client.server = client.request("initialize", params)["result"].take();
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    /// Shake no hands.
    pub(crate) fn silent(mut command: Command, folder: Arc<TempDir>) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let stdin = child.stdin.take();
        Self {
            child,
            stdin,
            messages: lines(stdout),
            logs: lines(stderr),
            seen: vec![],
            next: 0,
            server: Value::Null,
            _folder: folder,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the server said of itself.
    pub fn server(&self) -> &Value {
        &self.server
    }

    /// Answer a request of the host.
    pub fn answer(&mut self, asked: &Value, result: Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}));
    }

    /// Answer a request of the host with an error.
    pub fn refuse(&mut self, asked: &Value, code: i32, message: &str) {
        let error = json!({"code": code, "message": message});
        self.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}));
    }

    /// Messages that fit and have come so far. Others are kept for later.
    pub fn take_so_far(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.seen.extend(self.messages.try_iter());
        let (taken, kept) = self.seen.drain(..).partition(wanted);
        self.seen = kept;
        taken
    }

    /// Give up on a request: it gets no response.
    pub fn cancel(&mut self, id: u64) {
        let params = json!({"requestId": id, "reason": "e2e"});
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    }

    /// Write a message.
    pub fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string());
    }

    /// Write a line.
    pub fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the host reads");
    }

    /// Send a request and answer its id, without waiting.
    pub fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}));
        self.next
    }

    /// Begin a call of a tool.
    pub fn begin_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.begin("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// Begin a call with something in its `_meta`.
    pub fn begin_call_with(&mut self, tool: &str, arguments: Value, meta: Value) -> u64 {
        self.begin("tools/call", json!({"name": tool, "arguments": arguments, "_meta": meta}))
    }

    /// Call a tool with something in its `_meta`, and wait for its result.
    pub fn call_with(&mut self, tool: &str, arguments: Value, meta: Value) -> Value {
        let id = self.begin_call_with(tool, arguments, meta);
        self.wait(id)["result"].take()
    }

    /// The next message, whatever it is; none when the process has ended.
    pub fn next_message(&mut self) -> Option<Value> {
        if !self.seen.is_empty() {
            return Some(self.seen.remove(0));
        }
        self.messages.recv_timeout(PATIENCE).ok()
    }

    /// End it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Wait for the response with this id.
    pub fn wait(&mut self, id: u64) -> Value {
        self.wait_for(&format!("the response {id}"), |message| {
            message["id"] == id && message.get("method").is_none()
        })
    }

    /// Wait for a notification.
    pub fn wait_notification(&mut self, method: &str) -> Value {
        self.wait_for(method, |message| message["method"] == method)
    }

    /// Wait for a message. Others are kept for later.
    pub fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        if let Some(at) = self.seen.iter().position(&mut wanted) {
            return self.seen.remove(at);
        }
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|_| panic!("{what} did not come; logs: {:#?}", self.logs()));
            if wanted(&message) {
                return message;
            }
            self.seen.push(message);
        }
    }

    /// Send a request and wait for its response.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        self.wait(id)
    }

    /// Call a tool and wait for its result.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.begin_call(tool, arguments);
        self.wait(id)["result"].take()
    }

    /// Call a tool that must fail; answers the text of the failure.
    pub fn call_fails(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{tool} must fail: {result}");
        result["content"][0]["text"].as_str().expect("text").to_owned()
    }

    /// Names of all tools of skills.
    pub fn tools(&mut self) -> Vec<String> {
        self.all_tools().into_iter().filter(|name| !OWN.contains(&&**name)).collect()
    }

    /// The same with the host's own.
    pub fn all_tools(&mut self) -> Vec<String> {
        let response = self.request("tools/list", json!({}));
        let tools = response["result"]["tools"].as_array().expect("tools").clone();
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Wait until a log line fits.
    pub fn wait_log(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = self.logs.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no log line: {what}"));
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Log lines so far that nobody waited for.
    pub fn logs(&mut self) -> Vec<Value> {
        self.logs.try_iter().collect()
    }

    /// Close stdin, and go on reading.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Close stdin and wait for the end. Answers the exit code and the remaining log.
    pub fn close(mut self) -> (Option<i32>, Vec<Value>) {
        self.stdin = None;
        let status = crate::eventually(|| self.child.try_wait().expect("it is ours"));
        // Ends with the process: the other side of the pipe is closed.
        (status.code(), self.logs.iter().collect())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Gone already, or not of interest any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl crate::Speaks for Client {
    fn request(&mut self, method: &str, params: Value) -> Value {
        Client::request(self, method, params)
    }

    fn is_modern(&self) -> bool {
        false
    }
}

/// A running `skillhost serve`.
pub struct Server {
    child: Child,
    url: String,
    logs: Receiver<Value>,
    _folder: Arc<TempDir>,
}

impl Server {
    pub(crate) fn start(mut command: Command, folder: Arc<TempDir>) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let logs = lines(child.stderr.take().expect("piped"));
        let url = loop {
            let line = logs.recv_timeout(PATIENCE).expect("the server listens");
            if line["message"] == "listening" {
                break line["url"].as_str().expect("a url").to_owned();
            }
        };
        Self { child, url, logs, _folder: folder }
    }

    /// Such as `http://127.0.0.1:4711/mcp`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Wait until a log line fits.
    pub fn wait_log(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = self.logs.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no log line: {what}"));
            if wanted(&line) {
                return line;
            }
        }
    }

    /// End it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Wait for the process to end.
    pub fn wait(mut self) -> Option<i32> {
        crate::eventually(|| self.child.try_wait().expect("it is ours")).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, or not of interest any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

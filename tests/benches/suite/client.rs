//! Clients that cost little themselves: they write a request that is ready, and read an answer without parsing it.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::measure::{Load, nanos};

/// A call of a tool, in MCP 2026-07-28.
pub(crate) struct Request {
    tool: String,
    arguments: Value,
    meta: Value,
    /// Begins a key of its own for each call.
    keyed: bool,
    /// What is in each answer.
    expect: String,
}

impl Request {
    pub(crate) fn new(tool: &str, arguments: Value) -> Self {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        Self { tool: tool.into(), arguments, meta, keyed: false, expect: "\"isError\":false".into() }
    }

    /// `echo` of some text.
    pub(crate) fn echo(tool: &str, text: &str) -> Self {
        Self::new(tool, json!({"text": text}))
    }

    /// What is in each answer, in the place of what says that it is no error.
    pub(crate) fn expect(self, text: &str) -> Self {
        Self { expect: text.into(), ..self }
    }

    /// With an idempotency key, so that the call is written down.
    pub(crate) fn keyed(self) -> Self {
        Self { keyed: true, ..self }
    }

    fn message(&self, id: u64, key: &str) -> String {
        let mut meta = self.meta.clone();
        if self.keyed {
            meta["skillhost/idempotency_key"] = format!("{key}-{id}").into();
        }
        let params = json!({"name": self.tool, "arguments": self.arguments, "_meta": meta});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
    }

    fn http(&self, address: &str, id: u64, key: &str) -> Vec<u8> {
        let body = self.message(id, key);
        post(address, "tools/call", Some(&self.tool), &body)
    }

    fn check(&self, answer: &[u8]) {
        let expected = self.expect.as_bytes();
        // It stands near one of the ends.
        let near = |part: &[u8]| part.windows(expected.len()).any(|window| window == expected);
        let (first, last) = (&answer[..answer.len().min(4096)], &answer[answer.len().saturating_sub(4096)..]);
        let found = near(first) || near(last);
        assert!(found, "{}", String::from_utf8_lossy(first));
    }
}

fn post(address: &str, method: &str, name: Option<&str>, body: &str) -> Vec<u8> {
    let name = name.map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n\
         {name}content-length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

/// A server that somebody started.
pub(crate) struct Target {
    /// Such as `127.0.0.1:4711`.
    pub(crate) address: String,
    pub(crate) pid: u32,
}

impl Target {
    pub(crate) fn new(url: &str, pid: u32) -> Self {
        Self { address: url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned(), pid }
    }

    /// Call it over so many connections for `time`, each as soon as it has its answer.
    pub(crate) fn load(&self, request: &Request, connections: usize, time: Duration) -> Load {
        self.until(request, connections, |began| began.elapsed() >= time)
    }

    /// The same until `stop` is set.
    pub(crate) fn load_until(&self, request: &Request, connections: usize, stop: &AtomicBool) -> Load {
        self.until(request, connections, |_| stop.load(Ordering::Relaxed))
    }

    fn until(&self, request: &Request, connections: usize, over: impl Fn(Instant) -> bool + Sync) -> Load {
        let (cpu, began) = (processor(self.pid), Instant::now());
        let latencies = thread::scope(|scope| {
            let threads: Vec<_> = (0..connections)
                .map(|_| scope.spawn(|| Connection::open(&self.address).calls(request, || over(began))))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("it answers")).collect::<Vec<_>>()
        });
        let took = began.elapsed();
        Load { calls: latencies.len() as u64, took, latencies, cpu: processor(self.pid).saturating_sub(cpu) }
    }

    /// So many callers at once: each has a connection, and all have asked before the first one reads its answer. `asked` is called in between.
    pub(crate) fn crowd(&self, request: &Request, callers: usize, asked: impl FnOnce()) -> Load {
        let bytes = request.http(&self.address, 1, &key());
        let mut all: Vec<_> = (0..callers).map(|_| Connection::open(&self.address)).collect();
        let (cpu, began) = (processor(self.pid), Instant::now());
        for connection in &mut all {
            connection.send(&bytes);
        }
        asked();
        let latencies = all.iter_mut().map(|connection| {
            connection.answer();
            request.check(&connection.answer);
            nanos(began.elapsed())
        });
        let latencies: Vec<_> = latencies.collect();
        let took = began.elapsed();
        Load { calls: callers as u64, took, latencies, cpu: processor(self.pid).saturating_sub(cpu) }
    }

    /// The first page of its tools.
    pub(crate) fn list(&self) -> Value {
        let params = json!({"_meta": Request::new("", Value::Null).meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}).to_string();
        let mut connection = Connection::open(&self.address);
        connection.send(&post(&self.address, "tools/list", None, &body));
        serde_json::from_slice(connection.answer()).expect("JSON")
    }

    /// One answer, as it came.
    pub(crate) fn once(&self, request: &Request) -> Value {
        let mut connection = Connection::open(&self.address);
        connection.send(&request.http(&self.address, 1, &key()));
        serde_json::from_slice(connection.answer()).expect("JSON")
    }
}

/// A key that no other connection has.
fn key() -> String {
    use std::sync::atomic::AtomicU64;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

struct Connection {
    stream: TcpStream,
    address: String,
    answer: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, address: address.to_owned(), answer: vec![] }
    }

    fn calls(mut self, request: &Request, over: impl Fn() -> bool) -> Vec<u64> {
        let key = key();
        let mut bytes = request.http(&self.address, 1, &key);
        let mut latencies = vec![];
        while !over() {
            if request.keyed {
                bytes = request.http(&self.address, latencies.len() as u64, &key);
            }
            let start = Instant::now();
            self.send(&bytes);
            self.answer();
            latencies.push(nanos(start.elapsed()));
            request.check(&self.answer);
        }
        latencies
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it reads");
    }

    /// The body of an answer that tells its length.
    fn answer(&mut self) -> &[u8] {
        self.answer.clear();
        let mut part = [0; 64 << 10];
        let head = loop {
            let read = self.stream.read(&mut part).expect("it answers");
            assert!(read > 0, "it hung up");
            self.answer.extend_from_slice(&part[..read]);
            if let Some(end) = self.answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.answer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.unwrap_or_else(|| panic!("{text}")).trim().parse().expect("a length");
        self.answer.drain(..head);
        let missing = length.saturating_sub(self.answer.len()) as u64;
        (&self.stream).take(missing).read_to_end(&mut self.answer).expect("the body");
        &self.answer
    }
}

/// A server that talks over its standard streams.
pub(crate) struct Pipes {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next: u64,
}

impl Pipes {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, input, output, next: 0 }
    }

    /// The answer to a request of another kind.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        let mut params = params.clone();
        params["_meta"] = Request::new("", Value::Null).meta;
        self.next += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params});
        writeln!(self.input, "{message}").expect("it reads");
        serde_json::from_str(&self.line()).expect("JSON")
    }

    /// Call it for `time`, with so many calls in flight.
    pub(crate) fn load(&mut self, request: &Request, in_flight: usize, time: Duration) -> Load {
        let key = key();
        let mut began_at = HashMap::new();
        let mut latencies = vec![];
        let (cpu, began) = (processor(self.child.id()), Instant::now());
        while !(began_at.is_empty() && began.elapsed() >= time) {
            while began_at.len() < in_flight && began.elapsed() < time {
                self.next += 1;
                let line = request.message(self.next, &key) + "\n";
                began_at.insert(self.next, Instant::now());
                self.input.write_all(line.as_bytes()).expect("it reads");
            }
            let line = self.line();
            request.check(line.as_bytes());
            let id = line.split_once("\"id\":").expect("an id").1;
            let id: u64 = id.split([',', '}']).next().unwrap_or_default().parse().expect("a number");
            let start = began_at.remove(&id).expect("it was asked");
            latencies.push(nanos(start.elapsed()));
        }
        let cpu = processor(self.child.id()).saturating_sub(cpu);
        Load { calls: latencies.len() as u64, took: began.elapsed(), latencies, cpu }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).expect("it answers") > 0, "it ended");
        line
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        // Gone already, or not of interest any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the processor has done for a process so far, in steps of 10 ms.
pub(crate) fn processor(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// What a process holds, in KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// All that is mapped and in memory.
    pub(crate) resident: f64,
    /// Of it what is no file's: the kernel takes pages of files back where they are needed.
    pub(crate) own: f64,
}

pub(crate) fn memory(pid: u32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let of = |key: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(key)).expect("the kernel tells");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    };
    Memory { resident: of("Rss:"), own: of("Anonymous:") }
}

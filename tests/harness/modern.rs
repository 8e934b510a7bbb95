//! A client of 2026-07-28, over stdio or HTTP: no handshake, each request says all of its client.

use serde_json::{Value, json};

use crate::{Client, Exchange, Server};

/// Whoever sends requests, of whatever era and over whatever transport.
pub trait Speaks {
    /// Send a request and wait for its response.
    fn request(&mut self, method: &str, params: Value) -> Value;

    /// Whether it is of 2026-07-28.
    fn is_modern(&self) -> bool;

    /// Send a request that must succeed; its result.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let mut response = self.request(method, params);
        assert!(response["result"].is_object(), "{method}: {response}");
        response["result"].take()
    }

    /// Send a request that must be refused; its error.
    fn refused(&mut self, method: &str, params: Value) -> Value {
        let mut response = self.request(method, params);
        assert!(response["error"].is_object(), "{method}: {response}");
        response["error"].take()
    }

    /// A call of a tool; whatever it ends with.
    fn tool(&mut self, name: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": name, "arguments": arguments}))
    }

    /// Names (or URIs) of all that a method lists, over all pages.
    fn listed(&mut self, method: &str, key: &str, name: &str) -> Vec<String> {
        let (mut all, mut cursor) = (vec![], Value::Null);
        loop {
            let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
            let mut page = self.ask(method, params);
            let entries = page[key].as_array().unwrap_or_else(|| panic!("{method}: {page}"));
            all.extend(entries.iter().map(|entry| entry[name].as_str().expect("a name").to_owned()));
            cursor = page["nextCursor"].take();
            if cursor.is_null() {
                return all;
            }
        }
    }
}

/// How it reaches the host.
enum Wire {
    Stdio(Box<Client>),
    Http(String),
}

/// A client of 2026-07-28.
pub struct Modern {
    wire: Wire,
    meta: Value,
}

/// A stream of changes.
pub enum Feed {
    /// By the id of the request that opened it.
    Stdio(u64),
    /// A connection of its own.
    Http(Exchange),
}

impl Modern {
    /// Over stdio.
    pub(crate) fn stdio(client: Client) -> Self {
        Self::new(Wire::Stdio(Box::new(client)))
    }

    /// Over HTTP.
    pub fn http(server: &Server) -> Self {
        Self::at(server.url())
    }

    /// Over HTTP, at such as `http://127.0.0.1:4711/mcp`.
    pub fn at(url: &str) -> Self {
        Self::new(Wire::Http(url.to_owned()))
    }

    fn new(wire: Wire) -> Self {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "e2e", "version": "1"},
        });
        Self { wire, meta }
    }

    /// From here on it can do this.
    pub fn can(mut self, capabilities: Value) -> Self {
        self.set("io.modelcontextprotocol/clientCapabilities", capabilities);
        self
    }

    /// From here on its requests have this in their `_meta`.
    pub fn set(&mut self, key: &str, value: Value) {
        self.meta[key] = value;
    }

    /// The process, over stdio.
    ///
    /// # Panics
    /// Over HTTP.
    pub fn client(&mut self) -> &mut Client {
        match &mut self.wire {
            Wire::Stdio(client) => client,
            Wire::Http(_) => panic!("it has no process of its own"),
        }
    }

    /// Over stdio: close it, and wait for the end of the process.
    ///
    /// # Panics
    /// Over HTTP.
    pub fn close(self) -> Option<i32> {
        match self.wire {
            Wire::Stdio(client) => client.close().0,
            Wire::Http(_) => panic!("it has no process of its own"),
        }
    }

    fn with_meta(&self, mut params: Value) -> Value {
        let mut meta = self.meta.clone();
        if let (Value::Object(all), Value::Object(own)) = (&mut meta, params["_meta"].take()) {
            all.extend(own);
        }
        params["_meta"] = meta;
        params
    }

    /// Over HTTP: the answer of a request, as it comes.
    ///
    /// # Panics
    /// Over stdio.
    pub fn post(&self, method: &str, params: Value) -> Exchange {
        let Wire::Http(url) = &self.wire else { panic!("it has no connections") };
        let params = self.with_meta(params);
        let name = ["name", "uri", "taskId"].iter().find_map(|key| params[key].as_str());
        let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        headers.extend(name.map(|name| ("mcp-name", name)));
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Exchange::post(url, &headers, &message)
    }

    /// Send a request: what came before its response, and that.
    pub fn exchange(&mut self, method: &str, params: Value) -> (Vec<Value>, Value) {
        let whole = self.with_meta(params.clone());
        match &mut self.wire {
            Wire::Stdio(client) => {
                let id = client.begin(method, whole);
                let mut before = vec![];
                loop {
                    let message = client.next_message().unwrap_or_else(|| panic!("{method} is not answered"));
                    if message["id"] == id && message.get("method").is_none() {
                        return (before, message);
                    }
                    before.push(message);
                }
            }
            Wire::Http(_) => {
                let mut exchange = self.post(method, params);
                let response = exchange.response();
                (exchange.so_far(), response)
            }
        }
    }

    /// Open a stream of changes; answers when it is acknowledged, with what was.
    pub fn listen(&mut self, filter: Value) -> (Feed, Value) {
        let params = json!({"notifications": filter});
        let whole = self.with_meta(params.clone());
        let mut feed = match &mut self.wire {
            Wire::Stdio(client) => Feed::Stdio(client.begin("subscriptions/listen", whole)),
            Wire::Http(_) => Feed::Http(self.post("subscriptions/listen", params)),
        };
        let mut acknowledged = self.heard(&mut feed, "the acknowledgement", |message| {
            message["method"] == "notifications/subscriptions/acknowledged"
        });
        (feed, acknowledged["params"]["notifications"].take())
    }

    /// Wait for something on a stream.
    pub fn heard(&mut self, feed: &mut Feed, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        match (feed, &mut self.wire) {
            (Feed::Http(exchange), _) => exchange.wait_for(what, wanted),
            (Feed::Stdio(id), Wire::Stdio(client)) => client.wait_for(what, |message| {
                message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == *id && wanted(message)
            }),
            (Feed::Stdio(_), Wire::Http(_)) => panic!("a stream of another client"),
        }
    }

    /// What has come over a stream so far.
    pub fn heard_so_far(&mut self, feed: &mut Feed) -> Vec<Value> {
        match (feed, &mut self.wire) {
            (Feed::Http(exchange), _) => exchange.so_far(),
            (Feed::Stdio(id), Wire::Stdio(client)) => client.take_so_far(|message| {
                message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == *id
            }),
            (Feed::Stdio(_), Wire::Http(_)) => panic!("a stream of another client"),
        }
    }
}

impl Speaks for Modern {
    fn request(&mut self, method: &str, params: Value) -> Value {
        let whole = self.with_meta(params.clone());
        match &mut self.wire {
            Wire::Stdio(client) => Client::request(client, method, whole),
            Wire::Http(_) => self.post(method, params).response(),
        }
    }

    fn is_modern(&self) -> bool {
        true
    }
}

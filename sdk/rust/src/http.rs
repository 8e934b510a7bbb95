//! Requests over HTTP, to hosts that the operator grants: `http = [{ host = "api.example.com" }]`.
//!
//! A request waits for its response. Redirects are answers, not followed: [`Response::location`] tells where they lead.
//!
//! ```
//! use skillhost_sdk::{http, testing::Host};
//!
//! let mock = Host::new().http(|request| {
//!     assert_eq!((request.method(), request.url()), ("GET", "https://api.example.com/weather"));
//!     Ok(http::Response::new(200, "sunny"))
//! });
//! let response = mock.run(|| http::Request::get("https://api.example.com/weather").header("accept", "text/plain").send());
//! assert_eq!(response.unwrap().text(), "sunny");
//! ```
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::Failure;
use crate::reply::to_json;

#[cfg(not(target_family = "wasm"))]
use crate::testing::imports::http as imports;
#[cfg(target_family = "wasm")]
mod imports;

/// Bytes of a response that are read when nothing else is said.
const MAX_BYTES: usize = 8 << 20;

/// A request.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_bytes: usize,
}

impl Request {
    /// A request with any method, such as `PUT`. The operator grants methods; without a word of his, GET and HEAD.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let (method, url) = (method.into(), url.into());
        Self { method, url, headers: vec![], body: vec![], timeout: None, max_bytes: MAX_BYTES }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header. `Host`, `Connection` and other headers of the connection are the host's.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to the JSON of `value`, and its type.
    ///
    /// # Panics
    /// When `value` has no JSON form (a map whose keys are not strings).
    pub fn json(self, value: &impl Serialize) -> Self {
        self.header("content-type", "application/json").body(to_json(value))
    }

    /// Fails when there is no response after this long, or nothing more of it for as long. Without it the call's own
    /// time is the bound.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Reads at most this much of the response's body, 8 MiB when nothing is said; the rest is cut, and
    /// [`Response::truncated`] says so.
    pub fn max_bytes(mut self, max: usize) -> Self {
        self.max_bytes = max;
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Where it goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The headers that were added.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body, as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Sends it and waits for the response.
    ///
    /// # Errors
    /// [`Error`], when there is no response. A status such as 404 is a response.
    pub fn send(&self) -> Result<Response, Error> {
        imports::send(self)
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// In the order they came; names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// Whether there was more of it than [`Request::max_bytes`].
    pub truncated: bool,
}

impl Response {
    /// A response without headers, for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![], body: body.into(), truncated: false }
    }

    /// The first header called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is replaced by `\u{fffd}`.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Where a redirect leads, as it was written: it may be relative.
    pub fn location(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then(|| self.header("location")).flatten()
    }
}

/// Why there is no response. `?` makes a [`Failure`] of it: [transient](Failure::transient) where another attempt may
/// help. Make your own of it when the request may have taken effect, for both promise that nothing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The URL is not sound.
    Url(String),
    /// The operator has not granted this request.
    Denied,
    /// The name leads to an address that was not granted.
    Address,
    /// The name cannot be resolved.
    Name,
    /// There is no connection.
    Connect(String),
    /// The connection is not safe.
    Tls(String),
    /// It took too long.
    Timeout,
    /// The request or the response is larger than was granted.
    TooLarge,
    /// Anything else.
    Protocol(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the URL is not sound: {why}"),
            Self::Denied => {
                f.write_str("this skill has no grant for such a request; the operator gives it with `http`")
            }
            Self::Address => f.write_str("the host leads to an address that this skill has no grant for"),
            Self::Name => f.write_str("the host's name cannot be resolved"),
            Self::Connect(why) => write!(f, "there is no connection: {why}"),
            Self::Tls(why) => write!(f, "the connection is not safe: {why}"),
            Self::Timeout => f.write_str("the server took too long"),
            Self::TooLarge => {
                f.write_str("the request or the response is larger than this skill has a grant for")
            }
            Self::Protocol(why) => write!(f, "the exchange failed: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Url(_) => Self::invalid_input(error),
            Error::Name | Error::Connect(_) | Error::Timeout => Self::transient(error),
            _ => Self::permanent(error),
        }
    }
}

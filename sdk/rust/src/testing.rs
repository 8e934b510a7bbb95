//! A host for unit tests: tools run natively under plain `cargo test`, without WebAssembly.
//!
//! ```
//! use skillhost_sdk::{prelude::*, testing::Host, secrets};
//!
//! /// Greets in the operator's language.
//! #[tool]
//! fn greet(ctx: &Context) -> Result<String, Failure> {
//!     log::info("greeting");
//!     let word = skillhost_sdk::config::get("word").unwrap_or("Hello".into());
//!     Ok(format!("{word}, {}!", ctx.caller))
//! }
//!
//! let host = Host::new().config("word", "Moin");
//! let greeting = host.run(|| greet(&Context::for_tests()));
//! assert_eq!(greeting.unwrap(), "Moin, local!");
//! assert_eq!(host.logs()[0].message, "greeting");
//! ```
//!
//! A tool that asks is run through its rounds by a [`Client`].
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::host::CallError;
use crate::http::{Error, Request, Response};
use crate::log::Level;
use crate::types::Reply;

mod client;
pub(crate) mod imports;

pub use client::Client;

type Tool = Rc<dyn Fn(Option<&str>) -> Result<Reply, CallError>>;
type Web = Rc<dyn Fn(&Request) -> Result<Response, Error>>;

/// A host that grants what it is told to, and remembers what was done. Methods that say what it has take and give it,
/// so that they chain.
#[derive(Default)]
pub struct Host(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    config: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    tools: BTreeMap<String, Tool>,
    http: Option<Web>,
    cancel_after: Option<usize>,
    cancel_checks: usize,
    values: Vec<(String, Vec<u8>)>,
    no_values: bool,
    values_total: Option<u64>,
    progress: Vec<Progress>,
    logs: Vec<Line>,
    undo_tokens: Vec<String>,
    requests: Vec<Request>,
    tools_changed: usize,
    prompts_changed: usize,
    resources_changed: usize,
    resources_updated: Vec<String>,
}

/// A report of [`host::progress`](crate::host::progress).
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// How far.
    pub progress: f64,
    /// Of how much.
    pub total: Option<f64>,
    /// For people.
    pub message: Option<String>,
}

/// A line of [`log`](crate::log).
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// Which part of the skill spoke.
    pub context: String,
    /// What it said.
    pub message: String,
}

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

impl Host {
    /// A host that has a bucket for values and grants nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has this setting.
    #[must_use]
    pub fn config(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.borrow_mut().config.insert(key.into(), value.into());
        self
    }

    /// Has this secret.
    #[must_use]
    pub fn secret(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.borrow_mut().secrets.insert(name.into(), value.into());
        self
    }

    /// Grants a tool of another skill, played by `tool`. It gets the arguments as JSON text.
    #[must_use]
    pub fn tool(
        self,
        name: impl Into<String>,
        tool: impl Fn(Option<&str>) -> Result<Reply, CallError> + 'static,
    ) -> Self {
        self.0.borrow_mut().tools.insert(name.into(), Rc::new(tool));
        self
    }

    /// Grants HTTP; `web` plays all servers.
    #[must_use]
    pub fn http(self, web: impl Fn(&Request) -> Result<Response, Error> + 'static) -> Self {
        self.0.borrow_mut().http = Some(Rc::new(web));
        self
    }

    /// Has a client that gives up: the first `checks` questions of [`host::cancelled`](crate::host::cancelled) are
    /// answered with no, further ones with yes.
    #[must_use]
    pub fn cancel_after(self, checks: usize) -> Self {
        self.0.borrow_mut().cancel_after = Some(checks);
        self
    }

    /// Grants no bucket for values.
    #[must_use]
    pub fn without_keyvalue(self) -> Self {
        self.0.borrow_mut().no_values = true;
        self
    }

    /// Bounds all keys and values of the bucket together, in bytes. One value has at most 1 MiB in any case, as on a real
    /// host that is not told otherwise.
    #[must_use]
    pub fn keyvalue_total(self, bytes: u64) -> Self {
        self.0.borrow_mut().values_total = Some(bytes);
        self
    }

    /// Has this value in the bucket.
    #[must_use]
    pub fn value(self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.borrow_mut().values.push((key.into(), value.into()));
        self
    }

    /// Runs `work` with this host around it, on this thread. What was done stays for the next run.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Takes the host away again, also when `work` panics.
        struct Restore(Option<Host>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| *current.borrow_mut() = self.0.take());
            }
        }
        let this = Self(Rc::clone(&self.0));
        let _restore = Restore(CURRENT.with(|current| current.borrow_mut().replace(this)));
        work()
    }

    /// What progress was reported.
    pub fn progress(&self) -> Vec<Progress> {
        self.0.borrow().progress.clone()
    }

    /// What was logged.
    pub fn logs(&self) -> Vec<Line> {
        self.0.borrow().logs.clone()
    }

    /// The undo tokens that were prepared, oldest first.
    pub fn undo_tokens(&self) -> Vec<String> {
        self.0.borrow().undo_tokens.clone()
    }

    /// The keys and values of the bucket, in the order in which keys were first set.
    pub fn keyvalue(&self) -> Vec<(String, Vec<u8>)> {
        self.0.borrow().values.clone()
    }

    /// The requests that were sent over HTTP.
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// How often the skill said that its tools have changed.
    pub fn tools_changed(&self) -> usize {
        self.0.borrow().tools_changed
    }

    /// How often the skill said that its prompts have changed.
    pub fn prompts_changed(&self) -> usize {
        self.0.borrow().prompts_changed
    }

    /// How often the skill said that its list of resources has changed.
    pub fn resources_changed(&self) -> usize {
        self.0.borrow().resources_changed
    }

    /// The URIs of resources that the skill said say something else now, in order.
    pub fn resources_updated(&self) -> Vec<String> {
        self.0.borrow().resources_updated.clone()
    }
}

/// Ask the host of this thread, if there is one.
fn current<T>(ask: impl FnOnce(&mut State) -> T) -> Option<T> {
    CURRENT.with(|current| current.borrow().as_ref().map(|host| ask(&mut host.0.borrow_mut())))
}

#[cfg(test)]
mod tests;

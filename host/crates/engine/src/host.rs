//! What the host does for a guest during a call: `skillhost:skill/host` and `secrets`, `wasi:config` and
//! `wasi:logging`.

use skillhost_core::{Announced, Kind, LogLevel, Progress, text::bounded};

use crate::{
    bindings::{
        skillhost::skill::host::{CallError, Host, HostError, Reply},
        skillhost::skill::{secrets, types},
        wasi::{config::store, logging::logging},
    },
    convert,
    guest::MAX_DEPTH,
    state::State,
};

/// Bytes of a tool's name in the log.
const MAX_NAME: usize = 100;
/// Calls of other tools that one call may make.
const MAX_NESTED: u32 = 256;

/// Bytes of a progress report's message; more is cut.
const MAX_MESSAGE: usize = 1 << 10;

/// Bytes of the URI of a resource.
const MAX_URI: usize = 2 << 10;

impl State {
    fn changed(&mut self, change: Announced) -> Result<(), HostError> {
        if self.call.is_none() {
            return Err(HostError::NotOffered("there is no call while the skill is loaded".into()));
        }
        if self.changes.note(change) {
            return Ok(());
        }
        Err(HostError::Unavailable("the call has announced as many changes as it may".into()))
    }
}

impl types::Host for State {}

impl Host for State {
    fn progress(&mut self, progress: f64, total: Option<f64>, message: Option<String>) {
        let Some(call) = &self.call else { return };
        if self.progress.pass(self.clock.now(), progress, total) {
            let redactor = &self.sandbox.granted.redactor;
            let message = message.map(|m| bounded(redactor.known(&m).into_owned(), MAX_MESSAGE));
            call.link.progress(Progress { progress, total, message });
        }
    }

    fn cancelled(&mut self) -> bool {
        self.call.as_ref().is_some_and(|call| call.link.cancelled())
    }

    fn tools_changed(&mut self) -> Result<(), HostError> {
        self.changed(Announced::Listing(Kind::Tools))
    }

    fn prompts_changed(&mut self) -> Result<(), HostError> {
        self.changed(Announced::Listing(Kind::Prompts))
    }

    fn resources_changed(&mut self) -> Result<(), HostError> {
        self.changed(Announced::Listing(Kind::Resources))
    }

    fn resource_updated(&mut self, uri: String) -> Result<(), HostError> {
        if uri.len() > MAX_URI {
            return Err(HostError::Invalid(format!("a URI has at most {MAX_URI} bytes")));
        }
        // What it says is there from now on is listed when the call is over.
        let listed_anew = self.changes.has(&Announced::Listing(Kind::Resources));
        if self.call.is_some() && !listed_anew && !self.sandbox.offered.has(&uri) {
            let uri = bounded(uri, MAX_NAME);
            return Err(HostError::Invalid(format!("`{uri}` is none of the resources that the skill lists")));
        }
        self.changed(Announced::Resource(uri))
    }

    async fn prepare_undo(&mut self, token: String) -> Result<(), HostError> {
        let Some(call) = &self.call else {
            return Err(HostError::NotOffered("there is no call while the skill is loaded".into()));
        };
        let Some(keeps) = call.undo.clone() else {
            return Err(HostError::NotOffered(
                "this call cannot be taken back: its tool is not declared undoable, or it is an undo itself"
                    .into(),
            ));
        };
        convert::is_token(&token).map_err(HostError::Invalid)?;
        self.touched = true;
        let prepared = keeps.prepare_undo(call.attempt, token).await;
        prepared.map_err(|failure| HostError::Unavailable(failure.message))
    }

    async fn call_tool(&mut self, name: String, arguments: Option<String>) -> Result<Reply, CallError> {
        let refused = |error| Err(CallError::Refused(error));
        let Some(call) = self.call.as_deref() else {
            return refused(HostError::NotOffered("there is no call while the skill is loaded".into()));
        };
        if !self.sandbox.granted.tools.iter().any(|tool| tool.matches(&name)) {
            if self.warnings.admit() {
                tracing::warn!(tool = %bounded(name, MAX_NAME), "the skill has no grant for this tool");
            }
            return refused(HostError::Denied(
                "the skill may not call this tool; the operator grants it with `tools` in its grants".into(),
            ));
        }
        if call.depth >= MAX_DEPTH {
            return refused(HostError::Invalid(format!("calls are nested at most {MAX_DEPTH} deep")));
        }
        if self.nested >= MAX_NESTED {
            return refused(HostError::Invalid(format!("a call makes at most {MAX_NESTED} others")));
        }
        self.nested += 1;
        match call.tools.call_tool(call.clone(), name, arguments).await {
            Ok(reply) => Ok(convert::given(reply)),
            Err(failure) => Err(convert::told(failure)),
        }
    }
}

impl secrets::Host for State {
    fn get(&mut self, name: String) -> Result<String, HostError> {
        let secret = self.granted().and_then(|granted| granted.secrets.get(&name));
        secret.cloned().ok_or_else(|| {
            HostError::Denied(
                "there is no such secret for this skill; the operator grants it with `secrets`".into(),
            )
        })
    }
}

impl store::Host for State {
    fn get(&mut self, key: String) -> Result<Option<String>, store::Error> {
        Ok(self.sandbox.granted.config.get(&key).cloned())
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, store::Error> {
        let config = &self.sandbox.granted.config;
        Ok(config.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl logging::Host for State {
    fn log(&mut self, level: logging::Level, context: String, message: String) {
        let (level, told) = match level {
            logging::Level::Trace => (tracing::Level::TRACE, LogLevel::Debug),
            logging::Level::Debug => (tracing::Level::DEBUG, LogLevel::Debug),
            logging::Level::Info => (tracing::Level::INFO, LogLevel::Info),
            logging::Level::Warn => (tracing::Level::WARN, LogLevel::Warning),
            logging::Level::Error => (tracing::Level::ERROR, LogLevel::Error),
            logging::Level::Critical => (tracing::Level::ERROR, LogLevel::Critical),
        };
        let Some(line) = self.output.log(level, &context, &message) else { return };
        if let Some(call) = self.call.as_ref().filter(|call| call.link.listens(told)) {
            let logger = if line.context.is_empty() { self.sandbox.name.as_str() } else { &line.context };
            call.link.log(told, logger, &line.text);
        }
    }
}

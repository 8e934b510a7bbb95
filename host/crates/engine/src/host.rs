//! What the host does for a guest during a call: `skillhost:skill/host` and `wasi:logging`.

use skillhost_core::{Progress, text::bounded};

use crate::{
    bindings::{
        skillhost::skill::host::{Answer, CallError, Host, HostError, Question, Reply},
        skillhost::skill::types,
        wasi::logging::logging,
    },
    state::State,
};

/// Bytes of a progress report's message; more is cut.
const MAX_MESSAGE: usize = 1 << 10;

fn not_yet(what: &str) -> HostError {
    HostError::NotOffered(format!("{what} is not offered by this host yet"))
}

impl types::Host for State {}

impl Host for State {
    fn progress(&mut self, progress: f64, total: Option<f64>, message: Option<String>) {
        let Some(link) = &self.link else { return };
        if self.progress.pass(self.clock.now(), progress, total) {
            link.progress(Progress { progress, total, message: message.map(|m| bounded(m, MAX_MESSAGE)) });
        }
    }

    fn cancelled(&mut self) -> bool {
        self.link.as_ref().is_some_and(|link| link.cancelled())
    }

    fn tools_changed(&mut self) -> Result<(), HostError> {
        Err(not_yet("tools-changed"))
    }

    fn prompts_changed(&mut self) -> Result<(), HostError> {
        Err(not_yet("prompts-changed"))
    }

    fn resources_changed(&mut self) -> Result<(), HostError> {
        Err(not_yet("resources-changed"))
    }

    fn resource_updated(&mut self, _uri: String) -> Result<(), HostError> {
        Err(not_yet("resource-updated"))
    }

    fn ask_client(&mut self, _questions: Vec<Question>) -> Result<Vec<Answer>, HostError> {
        Err(not_yet("ask-client"))
    }

    fn prepare_undo(&mut self, _token: String) -> Result<(), HostError> {
        Err(not_yet("prepare-undo"))
    }

    fn call_tool(&mut self, _name: String, _arguments: Option<String>) -> Result<Reply, CallError> {
        Err(CallError::Refused(not_yet("call-tool")))
    }
}

impl logging::Host for State {
    fn log(&mut self, level: logging::Level, context: String, message: String) {
        let level = match level {
            logging::Level::Trace => tracing::Level::TRACE,
            logging::Level::Debug => tracing::Level::DEBUG,
            logging::Level::Info => tracing::Level::INFO,
            logging::Level::Warn => tracing::Level::WARN,
            logging::Level::Error | logging::Level::Critical => tracing::Level::ERROR,
        };
        self.output.log(level, &context, &message);
    }
}

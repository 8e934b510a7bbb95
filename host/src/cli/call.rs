//! `skillhost call`

use std::{io::Read as _, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use rmcp::model::{CallToolResult, ContentBlock, ErrorData};
use serde_json::{Map, Value};
use skillhost_core::{Access, Caller, ClientFeatures, NoClient};
use skillhost_journal::Priority;
use skillhost_pipeline::{Asked, Request};
use tokio_util::sync::CancellationToken;

use super::{ACCEPTED, Common, TOOL_ERROR, Told, out, start, stop_on_signal};
use crate::{
    app::{App, Open, block_on},
    transport::{admin, reply},
};

#[derive(Debug, Args)]
pub(super) struct Call {
    /// The tool's full name, such as text_word_count
    tool: String,
    /// Arguments as a JSON object; `-` reads them from stdin
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Make the call at most once under this key: the same again gives the result that was kept
    #[arg(long, value_name = "KEY", value_parser = key)]
    idempotency_key: Option<String>,
    /// The call must happen: when it does not succeed it is kept, and run again by a host that runs
    #[arg(long)]
    durable: bool,
    /// Which durable calls are run again first
    #[arg(long, value_name = "PRIORITY", value_parser = ["low", "normal", "high", "urgent"])]
    priority: Option<String>,
    /// Print the whole MCP CallToolResult as JSON
    #[arg(long)]
    json: bool,
}

/// How long the trace of the call may take to be sent.
const FLUSH: Duration = Duration::from_secs(2);

impl Call {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let (mut settings, telemetry) = start(common.raw()?, Told::Calls)?;
        let arguments = self.args.as_deref().map(parse).transpose()?;
        // Nobody else waits here: let a first compilation end.
        settings.pipeline.ready_wait = settings.engine.compile_timeout;
        let result = block_on(async {
            let stop = stop_on_signal()?;
            let app = App::start(&settings, Arc::clone(&telemetry), Open::WithFirstUse).await?;
            let asked = Asked {
                key: self.idempotency_key,
                durable: self.durable,
                priority: self.priority.as_deref().and_then(Priority::from_word),
                ..Asked::default()
            };
            let request = Request { asked, ..request(self.tool, arguments, stop) };
            Ok(reply::to_mcp(app.dispatcher.call(request).await))
        })?;
        // What could not be sent is no reason to call it again.
        if let Err(error) = telemetry.shut_down(FLUSH) {
            tracing::warn!(error, "telemetry could not be sent");
        }
        let result = result.map_err(|error: ErrorData| anyhow::anyhow!("{}", error.message))?;
        if self.json {
            out::json(&result)?;
        } else {
            out::text(&readable(&result))?;
        }
        let state =
            result.meta.as_ref().and_then(|meta| meta.0.get("skillhost/call")?.get("state")?.as_str());
        if matches!(state, Some("running" | "waiting" | "leased")) {
            if !admin::is_running(&settings.data) {
                out::note("no host runs on this data folder: it is run again once one is started");
            }
            return Ok(ExitCode::from(ACCEPTED));
        }
        Ok(if result.is_error == Some(true) { ExitCode::from(TOOL_ERROR) } else { ExitCode::SUCCESS })
    }
}

/// A call of a tool by nobody but this process.
pub(super) fn request(
    tool: String,
    arguments: Option<Map<String, Value>>,
    cancel: CancellationToken,
) -> Request {
    Request {
        id: None,
        tool,
        arguments,
        meta: None,
        correlation_id: None,
        caller: Caller::local(),
        access: Access::default(),
        client: ClientFeatures::default(),
        link: Arc::new(NoClient),
        cancel,
        parent: None,
        asked: Asked::default(),
        given: None,
        resume: None,
    }
}

fn key(text: &str) -> Result<String, &'static str> {
    Asked::checked(text).map(ToOwned::to_owned)
}

pub(super) fn parse(text: &str) -> anyhow::Result<Map<String, Value>> {
    let mut read = String::new();
    let text = match text {
        "-" => {
            std::io::stdin().read_to_string(&mut read).context("cannot read stdin")?;
            &read
        }
        text => text,
    };
    serde_json::from_str(text).context("the arguments are not a JSON object (--args '{\"key\": \"value\"}')")
}

/// The content for a terminal, which a skill's text must not take over.
fn readable(result: &CallToolResult) -> String {
    let mut text = String::new();
    for block in &result.content {
        text.push_str(&match block {
            ContentBlock::Text(block) => out::harmless(&block.text),
            other => serde_json::to_string(other).unwrap_or_default(),
        });
        text.push('\n');
    }
    text
}

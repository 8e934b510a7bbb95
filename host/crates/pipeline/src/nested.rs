//! Calls that tools make of each other.

use std::sync::{Arc, Weak};

use skillhost_core::{Call, CallTool, Failure, FailureKind, Nested};
use tokio_util::sync::CancellationToken;

use crate::{Dispatcher, Request, dispatcher::Parent};

/// Takes a tool's call of another through the same steps as an agent's.
pub(crate) struct Nesting(pub(crate) Weak<Dispatcher>);

impl CallTool for Nesting {
    fn call_tool(&self, parent: Call, tool: String, arguments: Option<String>) -> Nested {
        let dispatcher = self.0.upgrade();
        Box::pin(async move {
            let Some(dispatcher) = dispatcher else {
                return Err(Failure::new(FailureKind::Cancelled, "the host is stopping"));
            };
            let request = request(parent, tool, arguments)?;
            // Dropping this future, when the parent ends, ends the call.
            dispatcher.call(request).await.result
        })
    }
}

fn request(parent: Call, tool: String, arguments: Option<String>) -> Result<Request, Failure> {
    let arguments = arguments.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| {
        Failure::new(FailureKind::InvalidInput, format!("the arguments are not a JSON object: {error}"))
    })?;
    Ok(Request {
        tool,
        arguments,
        meta: None,
        correlation_id: Some(parent.correlation_id.to_string()),
        caller: parent.caller,
        client: parent.client,
        // Progress is the parent's to tell.
        link: Arc::new(skillhost_core::NoClient),
        cancel: CancellationToken::new(),
        parent: Some(Parent { depth: parent.depth, deadline: parent.deadline }),
    })
}

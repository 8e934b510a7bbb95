//! Another tool that answers when one cannot.

use skillhost_core::{Call, Failure, Reply, SagaId};
use tokio_util::sync::CancellationToken;

use super::{Dispatcher, Run};
use crate::{Asked, Parent, Request, StandIn};

impl Dispatcher {
    /// Let another tool answer, as part of the same call.
    pub(super) async fn fall_back(
        &self,
        other: &str,
        failure: Failure,
        call: Call,
        (parent, saga): (Parent, Option<SagaId>),
        cancel: CancellationToken,
        run: &mut Run,
    ) -> Result<Reply, Failure> {
        tracing::info!(
            outcome = failure.kind.code(),
            fallback = other,
            "the tool cannot answer; its fallback is called"
        );
        let arguments = call.arguments.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let request = Request {
            id: None,
            tool: other.to_owned(),
            arguments,
            meta: call.meta.as_deref().map(ToOwned::to_owned),
            correlation_id: Some(call.correlation_id.to_string()),
            caller: call.caller,
            access: call.access,
            client: call.client,
            link: call.link,
            cancel,
            parent: Some(parent),
            asked: Asked { saga, ..Asked::default() },
            given: None,
            resume: None,
        };
        // Boxed: a call within a call.
        let response = Box::pin(self.call(request)).await;
        run.tally.changed |= response.changed;
        match response.result {
            Ok(reply) => {
                run.tally.findings = response.findings;
                if response.settled {
                    // What can be asked for, or undone, is the call that answered.
                    (run.held, run.undoable) = (Some(response.id), response.undoable);
                }
                run.stands_in = Some(StandIn { tool: other.to_owned(), reason: failure });
                Ok(reply)
            }
            Err(second) => {
                tracing::warn!(fallback = other, outcome = second.kind.code(), "the fallback failed too");
                Err(failure)
            }
        }
    }
}

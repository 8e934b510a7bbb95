//! Calls of handlers: tools that rules call about letters.
//!
//! That a handler is to be called is written down with the rule's having acted, and stays until the call is over; the call itself
//! has an idempotency key of letter, rule and number. So a host that is killed in between, and the next one, make it at least
//! once, and it takes effect at most once. What could not be made before keys are forgotten is given up.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skillhost_core::{Access, Caller, ClientFeatures, FailureKind, NoClient};
use skillhost_journal::{HandlerCall, JournalError, Resting};
use skillhost_policy::{playbook::Playbook, redelivery::is_refusal};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{super::Recovery, HANDLERS, template};
use crate::{Asked, Request, Response};

/// Who calls handlers. No transport has a caller of this name.
pub(in crate::recovery) const CALLER: &str = "playbook";

/// What is called, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    tool: String,
    arguments: Map<String, Value>,
}

/// What a rule's tool is called with about a letter, as text that is kept.
pub(super) fn request(rule: &Playbook, resting: &Resting) -> String {
    let letter = &resting.letter;
    let problem = letter.problem.as_ref();
    let known = |name: &str| -> Value {
        match name {
            "id" => letter.id.to_string().into(),
            "tool" => letter.tool.as_str().into(),
            "skill" => letter.skill.as_str().into(),
            "kind" => problem.map_or("unknown", |problem| &problem.kind).into(),
            "message" => problem.map_or("", |problem| &problem.message).into(),
            "attempts" => letter.attempts.into(),
            "caller" => letter.caller.as_str().into(),
            "effect" if problem.is_some_and(|problem| problem.unknown_effect) => "unknown".into(),
            "effect" => "none".into(),
            "state" => letter.status().into(),
            _ => (*rule.name).into(),
        }
    };
    let kept = template(rule).map(|(tool, arguments)| Kept {
        tool: tool.to_owned(),
        // It was checked when it was read.
        arguments: arguments.filled(&known).unwrap_or_default(),
    });
    serde_json::to_string(&kept).unwrap_or_default()
}

impl Recovery {
    /// Call handlers that dead processes were to call.
    pub(in crate::recovery) async fn claim_handlers(self: &Arc<Self>) -> Result<(), JournalError> {
        let max = u32::try_from(HANDLERS).unwrap_or(u32::MAX);
        for call in self.journal.claim_handlers(max).await? {
            tracing::info!(call_id = %call.letter, rule = call.rule, "recovery: a rule's tool was not called to the end; it is now");
            self.handle(call, None);
        }
        Ok(())
    }

    /// Call a handler, on a task of its own.
    pub(super) fn handle(self: &Arc<Self>, call: HandlerCall, turn: Option<OwnedSemaphorePermit>) {
        let Some(dispatcher) = self.dispatcher.get().and_then(Weak::upgrade) else { return };
        let span = tracing::info_span!("handler", letter = %call.letter, rule = call.rule);
        drop(dispatcher.track(Arc::clone(self).handled(call, turn).instrument(span)));
    }

    // Boxed, since the call that is made in it may itself end as a letter that rules are asked about.
    fn handled(
        self: Arc<Self>,
        call: HandlerCall,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let turn = match turn {
                Some(turn) => Some(turn),
                None => Arc::clone(&self.rules.turns).acquire_owned().await.ok(),
            };
            let written = match self.called(&call).await {
                Some(told) => {
                    tracing::info!(call_id = %call.letter, rule = call.rule, "recovery: {told}");
                    self.due.notify_one();
                    self.journal.handled(call, told, self.now()).await
                }
                // Tried again with one of the worker's next looks.
                None => self.journal.put_back(call).await,
            };
            // Else the next process finds it again, and its key keeps it from happening twice.
            if let Err(error) = written {
                tracing::warn!(%error, "recovery: what became of a rule's tool cannot be written down");
            }
            drop(turn);
        })
    }

    /// What became of the call; none when it is to be made later.
    async fn called(&self, call: &HandlerCall) -> Option<String> {
        if self.now().since(call.at) >= self.settings.key_ttl {
            return Some("its tool is not called any more: no host was there for too long".to_owned());
        }
        let kept: Kept = match serde_json::from_str(&call.request) {
            Ok(kept) => kept,
            Err(error) => {
                return Some(format!("its tool cannot be called: what was kept cannot be read: {error}"));
            }
        };
        let dispatcher = self.dispatcher.get().and_then(Weak::upgrade)?;
        let tool = kept.tool.clone();
        let response = dispatcher
            .call(Request {
                id: None,
                tool: kept.tool,
                arguments: Some(kept.arguments),
                meta: None,
                correlation_id: Some(call.letter.to_string()),
                caller: Caller::named(CALLER),
                // The operator chose it.
                access: Access::default(),
                client: ClientFeatures::default(),
                link: Arc::new(NoClient),
                cancel: CancellationToken::new(),
                parent: None,
                asked: Asked {
                    key: Some(format!("{}/{}/{}", call.letter, call.rule, call.times)),
                    ..Asked::default()
                },
                given: None,
                resume: None,
            })
            .await;
        told(&tool, &response)
    }
}

fn told(tool: &str, response: &Response) -> Option<String> {
    let id = response.id;
    Some(match (&response.result, &response.standing) {
        // Refused before it began.
        (Err(failure), None) if failure.kind != FailureKind::UnknownTool && is_refusal(failure.kind) => {
            return None;
        }
        (_, Some(standing)) => {
            format!("its tool {tool} was called ({}); that is {}", standing.id, standing.word)
        }
        (Ok(reply), None) if reply.is_error => {
            format!("its tool {tool} was called ({id}) and answered with an error")
        }
        (Ok(_), None) => format!("its tool {tool} was called ({id})"),
        (Err(failure), None) => {
            format!("its tool {tool} failed ({id}): {}: {}", failure.kind, failure.message)
        }
    })
}

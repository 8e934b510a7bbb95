//! What is asked of a call before it becomes a task.

use skillhost_core::{CallId, Failure, TaskSupport};
use skillhost_journal::Delivery;
use tokio_util::sync::CancellationToken;

use super::{Dispatcher, tracked};
use crate::{
    Asked, Request, admission,
    agents::{reaches, tells_of_now},
    asking::{Opened, Purpose},
};

impl Dispatcher {
    /// Wait until it is known whether there is such a tool: while its skill is loaded, at the latest for `ready_wait`.
    pub async fn ready(&self, tool: &str) {
        if self.catalog.borrow().tools.contains_key(tool) {
            return;
        }
        let (patience, never) = (self.settings.ready_wait, CancellationToken::new());
        // What came of it shows when it is called.
        let _ = Box::pin(admission::find(&self.catalog, tool, patience, &never)).await;
    }

    /// How calls of a tool may run.
    pub(crate) async fn task_support(&self, tool: &str, asked: &Asked) -> TaskSupport {
        self.ready(tool).await;
        let catalog = self.catalog();
        let Some(entry) = catalog.tools.get(tool) else { return TaskSupport::No };
        if tells_of_now(entry) {
            return TaskSupport::No;
        }
        let policy = self.registry.policy_of(entry.skill.as_str(), Some(&entry.spec.name));
        let durable = || {
            let says = tracked::says_durable(entry);
            asked.durable || policy.delivery.map_or(says, |delivery| delivery == Delivery::Durable)
        };
        match (policy.task, entry.spec.task) {
            (Some(task), _) => task,
            (None, TaskSupport::No) if durable() => TaskSupport::Optional,
            (None, task) => task,
        }
    }

    /// The id of a call that is to be a task, and the answers it comes with, which are used up: one call is one task.
    pub(crate) async fn enlist(&self, request: &Request) -> Result<(CallId, Option<Opened>), Failure> {
        // Before anything of it is kept: what is kept is run, by another process if need be.
        reaches(&request.access, &request.tool)?;
        let purpose = Purpose { caller: &request.caller, kind: "tool", name: &request.tool };
        let Some(opened) = self.opened(&purpose, request.given.as_ref())? else {
            return Ok((CallId::new(), None));
        };
        if let Some(recovery) = &self.recovery {
            recovery.spend(&opened).await?;
        }
        Ok((opened.call, Some(opened)))
    }
}

//! What is asked of a call before it becomes a task.

use skillhost_core::{CallId, Failure, TaskSupport};
use skillhost_journal::Delivery;
use skillhost_policy::is_safe;
use tokio_util::sync::CancellationToken;

use super::{Dispatcher, tracked};
use crate::{Asked, Request, admission, asking::Purpose};

impl Dispatcher {
    /// Wait until it is known whether there is such a tool: while its skill is loaded, at the latest for `ready_wait`.
    pub async fn ready(&self, tool: &str) {
        // What came of it shows when it is called.
        let _ =
            admission::find(&self.catalog, tool, self.settings.ready_wait, &CancellationToken::new()).await;
    }

    /// How calls of a tool may run.
    pub(crate) async fn task_support(&self, tool: &str, asked: &Asked) -> TaskSupport {
        self.ready(tool).await;
        let catalog = self.catalog();
        let Some(entry) = catalog.tools.get(tool) else { return TaskSupport::No };
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

    /// The id of a call that is to be a task. The answers it comes with are used up, unless it may run twice on them.
    pub(crate) async fn enlist(&self, request: &Request) -> Result<CallId, Failure> {
        let purpose = Purpose { caller: &request.caller, kind: "tool", name: &request.tool };
        let Some(opened) = self.opened(&purpose, request.given.as_ref())? else { return Ok(CallId::new()) };
        let catalog = self.catalog();
        let safe =
            catalog.tools.get(request.tool.as_str()).is_some_and(|entry| is_safe(&entry.spec.annotations));
        if let (false, Some(recovery)) = (safe, &self.recovery) {
            recovery.spend(&opened).await?;
        }
        Ok(opened.call)
    }
}

//! One loaded version of a skill.

use std::{collections::BTreeMap, sync::Arc};

use skillhost_core::{Attempt, Call, Invoke, Outcome, ToolSpec};
use wasmtime::component::InstancePre;

use crate::{
    bindings::exports::skillhost::skill::tools::GuestIndices,
    convert,
    guest::{CallAttempt, Guests, Running},
    sandbox::Sandbox,
    state::State,
};

/// One loaded version of a skill. Holds no guest: each call makes a fresh one.
pub struct Skill {
    sandbox: Arc<Sandbox>,
    /// For tools with bounds of their own.
    by_tool: BTreeMap<String, Arc<Sandbox>>,
    pre: InstancePre<State>,
    tools: Arc<GuestIndices>,
    guests: Arc<Guests>,
}

impl Skill {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        by_tool: BTreeMap<String, Arc<Sandbox>>,
        pre: InstancePre<State>,
        guests: Arc<Guests>,
    ) -> wasmtime::Result<Self> {
        let tools = Arc::new(GuestIndices::new(&pre)?);
        Ok(Self { sandbox, by_tool, pre, tools, guests })
    }

    /// Ask a fresh instance for its tools. Finds wrong function types too.
    pub(crate) fn list(&self) -> Running<Result<Vec<ToolSpec>, skillhost_core::ToolSpecError>> {
        let (pre, tools, max) = (self.pre.clone(), Arc::clone(&self.tools), self.sandbox.limits.max_tools);
        self.guests.start(
            &self.sandbox,
            None,
            Box::new(move |store| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    let declared = tools.load(&mut *store, &instance)?.call_list(&mut *store).await?;
                    Ok(Ok(convert::tools(declared, max)))
                })
            }),
        )
    }
}

impl Invoke for Skill {
    fn start(&self, call: Call) -> Box<dyn Attempt> {
        let (pre, tools, clock) =
            (self.pre.clone(), Arc::clone(&self.tools), Arc::clone(self.guests.clock()));
        let sandbox = Arc::clone(self.by_tool.get(&*call.tool).unwrap_or(&self.sandbox));
        Box::new(CallAttempt(self.guests.start(
            &Arc::clone(&sandbox),
            Some(call.clone()),
            Box::new(move |store| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    let guest = tools.load(&mut *store, &instance)?;
                    let context =
                        convert::context(&call, call.deadline.saturating_duration_since(clock.now()));
                    let arguments = call.arguments.as_deref();
                    let result = guest.call_call(&mut *store, &context, &call.tool, arguments).await?;
                    let mut result = convert::outcome(result);
                    if let Ok(Outcome::Reply(reply)) = &mut result {
                        sandbox.granted.redactor.reply(reply);
                    }
                    Ok(result)
                })
            }),
        )))
    }
}

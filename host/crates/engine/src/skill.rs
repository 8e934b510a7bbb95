//! One loaded version of a skill.

use std::sync::Arc;

use skillhost_core::{Attempt, Call, Invoke, SkillName, ToolSpec};
use wasmtime::component::InstancePre;

use crate::{
    Limits,
    bindings::exports::skillhost::skill::tools::GuestIndices,
    convert,
    guest::{CallAttempt, Guests, Running},
    state::State,
};

/// One loaded version of a skill. Holds no guest: each call makes a fresh one.
pub struct Skill {
    name: SkillName,
    pre: InstancePre<State>,
    tools: Arc<GuestIndices>,
    limits: Arc<Limits>,
    guests: Arc<Guests>,
}

impl Skill {
    pub(crate) fn new(
        name: SkillName,
        pre: InstancePre<State>,
        limits: Arc<Limits>,
        guests: Arc<Guests>,
    ) -> wasmtime::Result<Self> {
        let tools = Arc::new(GuestIndices::new(&pre)?);
        Ok(Self { name, pre, tools, limits, guests })
    }

    /// Ask a fresh instance for its tools. Finds wrong function types too.
    pub(crate) fn list(&self) -> Running<Result<Vec<ToolSpec>, skillhost_core::ToolSpecError>> {
        let (pre, tools, max) = (self.pre.clone(), Arc::clone(&self.tools), self.limits.max_tools);
        self.guests.start(
            &self.name,
            &self.limits,
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
        let link = Arc::clone(&call.link);
        Box::new(CallAttempt(self.guests.start(
            &self.name,
            &self.limits,
            Some(link),
            Box::new(move |store| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    let guest = tools.load(&mut *store, &instance)?;
                    let context =
                        convert::context(&call, call.deadline.saturating_duration_since(clock.now()));
                    let arguments = call.arguments.as_deref();
                    let result = guest.call_call(&mut *store, &context, &call.tool, arguments).await?;
                    Ok(convert::outcome(result))
                })
            }),
        )))
    }
}

//! One loaded version of a skill.

use std::{collections::BTreeMap, sync::Arc};

use skillhost_core::{Attempt, Call, Failure, FailureKind, Invoke, Outcome, Reply, ToolSpec, Undo};
use wasmtime::{Store, component::InstancePre};

use crate::{
    bindings::{exports::skillhost::skill::tools::GuestIndices, undo::exports::skillhost::skill::undo},
    convert,
    guest::{CallAttempt, For, Guests, Running},
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
    /// None where it takes nothing back.
    undo: Option<Arc<undo::GuestIndices>>,
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
        let undo = undo::GuestIndices::new(&pre).ok().map(Arc::new);
        Ok(Self { sandbox, by_tool, pre, tools, undo, guests })
    }

    /// Whether it can take back what it did.
    pub(crate) fn can_undo(&self) -> bool {
        self.undo.is_some()
    }

    /// Ask a fresh instance for its tools. Finds wrong function types too.
    pub(crate) fn list(&self) -> Running<Result<Vec<ToolSpec>, skillhost_core::ToolSpecError>> {
        let (pre, tools, max) = (self.pre.clone(), Arc::clone(&self.tools), self.sandbox.limits.max_tools);
        let undo = self.undo.clone();
        self.guests.start(
            &self.sandbox,
            For::Loading,
            Box::new(move |store| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    if let Some(undo) = undo {
                        // Wrong function types are found here, and not with the first call that has to be taken back.
                        undo.load(&mut *store, &instance)?;
                    }
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
            For::Call(call.clone()),
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

    fn undo(&self, undo: Undo) -> Box<dyn Attempt> {
        let (pre, exported) = (self.pre.clone(), self.undo.clone());
        let sandbox = Arc::clone(self.by_tool.get(&*undo.call.tool).unwrap_or(&self.sandbox));
        let clock = Arc::clone(self.guests.clock());
        Box::new(CallAttempt(self.guests.start(
            &sandbox,
            For::Undo(undo.call.clone()),
            Box::new(move |store: &mut Store<State>| {
                Box::pin(async move {
                    let Some(exported) = exported else {
                        let text = "this version of the skill takes nothing back";
                        return Ok(Err(Failure::new(FailureKind::Unsupported, text)));
                    };
                    let Undo { call, token, force } = undo;
                    let instance = pre.instantiate_async(&mut *store).await?;
                    let guest = exported.load(&mut *store, &instance)?;
                    let context =
                        convert::context(&call, call.deadline.saturating_duration_since(clock.now()));
                    let (arguments, token) = (call.arguments.as_deref(), token.as_ref());
                    let result =
                        guest.call_undo(&mut *store, &context, &call.tool, arguments, token, force).await?;
                    let result = result.map(|()| Outcome::Reply(Reply::default()));
                    Ok(result.map_err(convert::failure))
                })
            }),
        )))
    }
}

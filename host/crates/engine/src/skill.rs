//! One loaded version of a skill.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};
use skillhost_core::{
    Attempt, Call, Failure, FailureKind, Features, Invoke, Outcome, Reply, Target, ToolSpec, Undo,
};
use tracing::Instrument as _;
use wasmtime::{
    Store,
    component::{ComponentExportIndex, Instance, InstancePre, TypedFunc},
};

use crate::{
    LoadError,
    bindings::{
        completions::exports::skillhost::skill::completions,
        exports::skillhost::skill::tools::GuestIndices,
        prompts::exports::skillhost::skill::prompts,
        resources::exports::skillhost::skill::resources,
        skillhost::skill::types::{self, Context},
        undo::exports::skillhost::skill::undo,
    },
    convert,
    guest::{CallAttempt, For, Guests, Running},
    park::{MayPark, Park},
    plain::Plain,
    sandbox::Sandbox,
    state::State,
};

/// One loaded version of a skill. Each call makes a fresh guest, but for tools whose instances may serve again.
pub struct Skill {
    pub(crate) sandbox: Arc<Sandbox>,
    park: MayPark,
    /// For tools with bounds of their own.
    by_tool: BTreeMap<String, (Arc<Sandbox>, MayPark)>,
    pre: InstancePre<State>,
    exports: Arc<Exports>,
    guests: Arc<Guests>,
}

/// Where its exports are; none where it has none.
struct Exports {
    tools: Tools,
    undo: Option<undo::GuestIndices>,
    prompts: Option<prompts::GuestIndices>,
    resources: Option<resources::GuestIndices>,
    completions: Option<completions::GuestIndices>,
}

/// What its tools are.
enum Tools {
    /// What it says itself.
    Declared {
        all: GuestIndices,
        /// One of them by itself: what is loaded has its types compared, and calls have no use for the others.
        call: ComponentExportIndex,
    },
    /// What it exports, of a component that knows nothing of this host.
    Plain(Plain),
}

const TOOLS: &str = "skillhost:skill/tools@0.1.0";

/// `call` of these, as the contract has it.
type ToCall<'a> = (&'a Context, &'a str, Option<&'a str>);
type Called = (Result<types::Outcome, types::Failure>,);

/// What a skill lists.
pub struct Listed {
    /// The tools it declares, or that are made of what it exports.
    pub tools: Vec<ToolSpec>,
    /// Of a plain component: what it exports and is no tool, and why.
    pub no_tools: Vec<String>,
    /// What it offers beside them.
    pub features: Features,
}

impl Skill {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        by_tool: BTreeMap<String, Arc<Sandbox>>,
        pre: InstancePre<State>,
        plain: Option<Plain>,
        guests: Arc<Guests>,
    ) -> wasmtime::Result<Self> {
        let exports = Exports {
            tools: match plain {
                Some(plain) => Tools::Plain(plain),
                None => Tools::Declared { all: GuestIndices::new(&pre)?, call: exported_call(&pre)? },
            },
            undo: undo::GuestIndices::new(&pre).ok(),
            prompts: prompts::GuestIndices::new(&pre).ok(),
            resources: resources::GuestIndices::new(&pre).ok(),
            completions: completions::GuestIndices::new(&pre).ok(),
        };
        let park = park(&sandbox);
        let by_tool = by_tool.into_iter().map(|(tool, sandbox)| {
            let park = self::park(&sandbox);
            (tool, (sandbox, park))
        });
        Ok(Self { sandbox, park, by_tool: by_tool.collect(), pre, exports: Arc::new(exports), guests })
    }

    /// Whether an instance of it may serve several calls, as far as its operator says.
    pub(crate) fn reuses(&self) -> bool {
        self.park.is_some()
    }

    /// What a call of `tool` is bound by, and where its instance may come from.
    fn of(&self, tool: &str) -> (Arc<Sandbox>, MayPark) {
        let (sandbox, park) =
            self.by_tool.get(tool).map_or((&self.sandbox, &self.park), |own| (&own.0, &own.1));
        (Arc::clone(sandbox), park.clone())
    }

    /// Whether it can take back what it did.
    pub(crate) fn can_undo(&self) -> bool {
        self.exports.undo.is_some() || matches!(self.exports.tools, Tools::Plain(_))
    }

    /// Ask a fresh instance for what it offers. Finds wrong function types too.
    pub(crate) fn list(&self) -> Running<Result<Listed, LoadError>> {
        let (pre, exports, max) =
            (self.pre.clone(), Arc::clone(&self.exports), self.sandbox.limits.max_tools);
        self.guests.start(
            &self.sandbox,
            For::Loading,
            None,
            Box::new(move |store| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    let found = match &exports.tools {
                        Tools::Declared { all, .. } => {
                            let declared = all.load(&mut *store, &instance)?.call_list(&mut *store).await?;
                            convert::tools(declared, max)
                                .map(|tools| (tools, vec![]))
                                .map_err(LoadError::Tools)
                        }
                        Tools::Plain(plain) => plain.specs(store, &instance, max),
                    };
                    let features = exports.features(store, &instance).await?;
                    Ok(Ok(found.and_then(|(tools, no_tools)| {
                        let features = features.map_err(LoadError::Contract)?;
                        Ok(Listed { tools, no_tools, features })
                    })))
                })
            }),
        )
    }
}

impl Exports {
    /// What there is beside tools. Wrong types of what lists nothing are found here too, and not with the first call.
    async fn features(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Result<Features, String>> {
        if let Some(undo) = &self.undo {
            undo.load(&mut *store, instance)?;
        }
        let mut features = Features::default();
        if let Some(completions) = &self.completions {
            completions.load(&mut *store, instance)?;
            features.completes = true;
        }
        if let Some(prompts) = &self.prompts {
            match convert::features::prompts(
                prompts.load(&mut *store, instance)?.call_list(&mut *store).await?,
            ) {
                Ok(prompts) => features.prompts = prompts,
                Err(why) => return Ok(Err(why)),
            }
        }
        if let Some(resources) = &self.resources {
            let guest = resources.load(&mut *store, instance)?;
            let listed = guest.call_list(&mut *store).await?;
            let templates = guest.call_templates(&mut *store).await?;
            match (convert::features::resources(listed), convert::features::templates(templates)) {
                (Ok(resources), Ok(templates)) => {
                    (features.resources, features.templates) = (resources, templates);
                }
                (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
            }
        }
        Ok(Ok(features))
    }

    /// Run what the call is for.
    async fn run(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        context: &Context,
        call: &Call,
    ) -> wasmtime::Result<Result<Outcome, Failure>> {
        let gone =
            || Ok(Err(Failure::new(FailureKind::Unsupported, "this version of the skill has nothing of it")));
        let arguments = call.arguments.as_deref();
        Ok(match &*call.target {
            Target::Tool => match &self.tools {
                Tools::Declared { call: exported, .. } => {
                    let exported: TypedFunc<ToCall<'_>, Called> =
                        instance.get_typed_func(&mut *store, exported)?;
                    let arguments = arguments.map(String::as_str);
                    let (result,) =
                        exported.call_async(&mut *store, (context, &call.tool, arguments)).await?;
                    convert::outcome(result, store.data().touched())
                }
                Tools::Plain(plain) => plain.call(store, instance, call).await?,
            },
            Target::Prompt(name) => {
                let Some(prompts) = &self.prompts else { return gone() };
                let guest = prompts.load(&mut *store, instance)?;
                let result = guest.call_get(&mut *store, context, name, &texts(arguments)).await?;
                let touched = store.data().touched();
                ended(result, |outcome| convert::features::filled(outcome, touched))
            }
            Target::Resource(uri) => {
                let Some(resources) = &self.resources else { return gone() };
                let guest = resources.load(&mut *store, instance)?;
                let result = guest.call_read(&mut *store, context, uri).await?;
                let touched = store.data().touched();
                ended(result, |outcome| convert::features::read(outcome, touched))
            }
            Target::Completion(asked) => {
                let Some(completions) = &self.completions else { return gone() };
                let guest = completions.load(&mut *store, instance)?;
                let (subject, known) = (convert::features::subject(asked), &asked.known[..]);
                let result = guest
                    .call_complete(&mut *store, context, &subject, &asked.argument, &asked.value, known)
                    .await?;
                ended(result, |completion| Ok(convert::features::completed(completion)))
            }
        })
    }
}

fn exported_call(pre: &InstancePre<State>) -> wasmtime::Result<ComponentExportIndex> {
    let component = pre.component();
    let tools = component.get_export_index(None, TOOLS);
    tools
        .and_then(|tools| component.get_export_index(Some(&tools), "call"))
        .ok_or_else(|| wasmtime::Error::msg(format!("`{TOOLS}` has no `call`")))
}

/// Where instances wait, if any may.
fn park(sandbox: &Sandbox) -> MayPark {
    let limits = &sandbox.limits;
    (limits.reuse_calls > 1).then(|| Arc::new(Park::new(limits.reuse_calls, limits.reuse_age)))
}

fn ended<T>(
    result: Result<T, types::Failure>,
    outcome: impl FnOnce(T) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    result.map_err(convert::failure).and_then(outcome)
}

/// The arguments of a prompt: a JSON object of texts, as the pipeline made it.
fn texts(arguments: Option<&String>) -> Vec<(String, String)> {
    let object: Map<String, Value> =
        arguments.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    object.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

async fn instantiate(pre: &InstancePre<State>, store: &mut Store<State>) -> wasmtime::Result<Instance> {
    pre.instantiate_async(store).instrument(skillhost_telemetry::span!("instantiate")).await
}

impl Invoke for Skill {
    fn start(&self, call: Call) -> Box<dyn Attempt> {
        let (pre, exports, clock) =
            (self.pre.clone(), Arc::clone(&self.exports), Arc::clone(self.guests.clock()));
        let call = Arc::new(call);
        let (sandbox, park) = self.of(&call.tool);
        let park = park.filter(|_| *call.target == Target::Tool && sandbox.offered.is_reusable(&call.tool));
        let reuses = park.is_some();
        Box::new(CallAttempt(self.guests.start(
            &Arc::clone(&sandbox),
            For::Call(Arc::clone(&call)),
            park,
            Box::new(move |store| {
                Box::pin(async move {
                    if let Tools::Plain(plain) = &exports.tools {
                        plain.prepare(store.data_mut(), &call);
                    }
                    let instance = match store.data().instance {
                        Some(instance) => instance,
                        None => instantiate(&pre, store).await?,
                    };
                    if reuses {
                        store.data_mut().instance = Some(instance);
                    }
                    let left = call.deadline.saturating_duration_since(clock.now());
                    let context = convert::context(&call, left);
                    let running = exports.run(store, &instance, &context, &call);
                    let mut result = running.instrument(skillhost_telemetry::span!("guest")).await?;
                    if let Ok(outcome) = &mut result {
                        sandbox.granted.redactor.outcome(outcome);
                    }
                    Ok(result)
                })
            }),
        )))
    }

    fn undo(&self, undo: Undo) -> Box<dyn Attempt> {
        let (pre, exports) = (self.pre.clone(), Arc::clone(&self.exports));
        let (sandbox, _) = self.of(&undo.call.tool);
        let clock = Arc::clone(self.guests.clock());
        Box::new(CallAttempt(self.guests.start(
            &sandbox,
            For::Undo(Arc::new(undo.call.clone())),
            None,
            Box::new(move |store: &mut Store<State>| {
                Box::pin(async move {
                    if let Tools::Plain(plain) = &exports.tools {
                        let instance = instantiate(&pre, store).await?;
                        return plain.undo(store, &instance, &undo).await;
                    }
                    let Some(exported) = &exports.undo else {
                        let text = "this version of the skill takes nothing back";
                        return Ok(Err(Failure::new(FailureKind::Unsupported, text)));
                    };
                    let Undo { call, token, force } = undo;
                    let instance = instantiate(&pre, store).await?;
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

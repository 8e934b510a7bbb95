//! Plain components: they know nothing of skillhost, and what they export are tools all the same.
//!
//! A function with ordinary types is a tool, its parameters are its arguments. A command (`wasi:cli/run`) and a handler of
//! requests (`wasi:http/incoming-handler`) are one tool each. Annotations, delivery and what undoes what are the operator's
//! to say, in `[skills.NAME]`.

mod command;
mod docs;
mod functions;
mod handler;
mod names;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
mod undo;
mod value;

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

use serde_json::{Map, Value};
use skillhost_core::{
    Block, Call, Content, Failure, FailureKind, Mount, Outcome, Reply, Schema, ToolSpec, ToolSpecError, Undo,
};
use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, Instance, InstancePre, Val},
};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;

pub(crate) use command::Terminal;
pub(crate) use docs::Docs;
use functions::{COMMAND, Function, HANDLER, Returns};
use undo::Takes;

use crate::{LoadError, state::State};

/// Exports that are no tools, of which is told why.
const REFUSED: usize = 256;

/// The token of a call that answered "no". It is taken to have left nothing: what would be taken back by its arguments alone may be
/// another call's work.
const SAID_NO: &str = "false";

/// The tools of a plain component, by name.
pub(crate) struct Plain {
    tools: BTreeMap<String, Tool>,
    undos: BTreeMap<String, Takes>,
    /// What its types alone keep from being a tool, and why.
    refused: Vec<String>,
    docs: Docs,
    mount: Mount,
}

enum Tool {
    Function(Function),
    Command(ComponentExportIndex),
    Handler(ProxyIndices),
}

impl Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(function) => function.place.fmt(f),
            Self::Command(_) => f.write_str(COMMAND),
            Self::Handler(_) => f.write_str(HANDLER),
        }
    }
}

impl Plain {
    /// What `component` exports.
    ///
    /// # Errors
    /// That it exports nothing; what does not fit of what undoes what.
    pub(crate) fn of(
        component: &Component,
        pre: &InstancePre<State>,
        docs: Docs,
        mount: Mount,
        undone_by: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let found = functions::find(component, pre.engine());
        let mut tools: BTreeMap<_, _> =
            found.functions.into_iter().map(|(name, function)| (name, Tool::Function(function))).collect();
        // A function of that name is what its author calls so.
        let free = |name: &str, tools: &BTreeMap<String, Tool>| {
            let mut name = name.to_owned();
            while tools.contains_key(&name) {
                name.insert_str(0, "wasi_");
            }
            name
        };
        let mut refused: Vec<_> = found.refused.iter().map(|(place, why)| reason(place, why)).collect();
        let (command, handler) = (command(component), ProxyIndices::new(pre).ok());
        for interface in &found.whole {
            let served =
                if functions::path(interface) == COMMAND { command.is_some() } else { handler.is_some() };
            if !served {
                refused.push(reason(interface, "it is not that of WASI 0.2, which this host speaks"));
            }
        }
        if let Some(index) = command {
            tools.insert(free("run", &tools), Tool::Command(index));
        }
        if let Some(exports) = handler {
            tools.insert(free("request", &tools), Tool::Handler(exports));
        }
        if tools.is_empty() && refused.is_empty() {
            return Err("it is a component, but it exports no function: there is nothing to call".into());
        }
        let undos = undo::matched(&tools, undone_by)?;
        let interfaces = tools.values().filter_map(|tool| match tool {
            Tool::Function(function) => function.place.interface.as_deref(),
            _ => None,
        });
        let docs = docs.among(interfaces);
        Ok(Self { tools, undos, refused, docs, mount })
    }

    /// Its tools, as if it had declared them; what else it exports, and why that is no tool.
    pub(crate) fn specs(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        max: usize,
    ) -> Result<(Vec<ToolSpec>, Vec<String>), LoadError> {
        if self.tools.len() > max {
            return Err(ToolSpecError::TooMany { count: self.tools.len(), max }.into());
        }
        let (mut specs, mut refused) = (vec![], self.refused.clone());
        for (name, tool) in &self.tools {
            match self.spec(name, tool, &mut *store, instance) {
                Ok(spec) => specs.push(spec),
                Err(why) => refused.push(reason(tool, &why)),
            }
        }
        refused.truncate(REFUSED);
        match &refused[..] {
            [first, ..] if specs.is_empty() => {
                Err(LoadError::Contract(format!("nothing that it exports can be a tool: {first}")))
            }
            _ => Ok((specs, refused)),
        }
    }

    /// What is said of a tool; why it is none.
    fn spec(
        &self,
        name: &str,
        tool: &Tool,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<ToolSpec, String> {
        self.mount.tool(&store.data().sandbox.name, name).map_err(|error| error.to_string())?;
        let spec = match tool {
            Tool::Function(function) => {
                let docs = self.docs.of_function(&function.place);
                let docs = docs.unwrap_or_else(|| format!("`{}`", function.place));
                let said = self.docs.of_values(&function.place);
                declared(name, docs, &function.input(said), function.output(said).as_ref())
            }
            Tool::Command(index) => {
                command::typed(index, &mut *store, instance).map_err(|error| format!("{error:#}"))?;
                let says = "Run the command, with arguments and a standard input.";
                declared(name, says.into(), &command::input(), Some(&command::output()))
            }
            Tool::Handler(exports) => {
                exports.load(&mut *store, instance).map_err(|error| format!("{error:#}"))?;
                let says = "Send a request of HTTP to the component, and have its response.";
                declared(name, says.into(), &handler::input(), Some(&handler::output()))
            }
        };
        let spec = spec.map_err(|error| error.to_string())?;
        Ok(ToolSpec { undoable: self.undos.contains_key(name), ..spec })
    }

    /// What a call needs before there is a guest.
    pub(crate) fn prepare(&self, state: &mut State, call: &Call) {
        if let Some(Tool::Command(_)) = self.tools.get(&*call.tool) {
            let most = state.sandbox.limits.result;
            state.terminal = Some(command::terminal(&call.tool, &arguments(call), most));
        }
    }

    /// Run what a call is for.
    pub(crate) async fn call(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        call: &Call,
    ) -> wasmtime::Result<Result<Outcome, Failure>> {
        let most = store.data().sandbox.limits.result;
        match self.tools.get(&*call.tool) {
            Some(Tool::Function(callee)) => {
                let undoable = self.undos.contains_key(&*call.tool);
                let reply = function(callee, store, instance, &arguments(call)).await?;
                // What it gave is what it is taken back by.
                let with_token = |reply: Reply| Reply {
                    undo_token: undoable.then(|| match &reply.structured {
                        _ if reply.is_error => SAID_NO.into(),
                        Some(given) => given.to_string(),
                        None => "null".into(),
                    }),
                    ..reply
                };
                Ok(reply.map(|reply| Outcome::Reply(with_token(reply))))
            }
            Some(Tool::Command(index)) => command::run(index, store, instance, most).await,
            Some(Tool::Handler(exports)) => match handler::request(&arguments(call)) {
                Ok(request) => handler::run(exports, store, instance, request, most).await,
                Err(failure) => Ok(Err(failure)),
            },
            None => {
                Ok(Err(Failure::new(FailureKind::Unsupported, "this version of the skill has no such tool")))
            }
        }
    }

    /// Take back what a call did, by the function that its operator named.
    pub(crate) async fn undo(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        undo: &Undo,
    ) -> wasmtime::Result<Result<Outcome, Failure>> {
        let unsupported = |text| Ok(Err(Failure::new(FailureKind::Unsupported, text)));
        let Some(takes) = self.undos.get(&*undo.call.tool) else {
            return unsupported("no function is said to take this back (`undone_by`)");
        };
        let Some(Tool::Function(callee)) = self.tools.get(&takes.function) else {
            return unsupported("the function that takes this back is not there");
        };
        if undo.token.as_deref() == Some(SAID_NO) {
            return Ok(Ok(Outcome::Reply(Reply::default())));
        }
        let result =
            undo.token.as_deref().and_then(|token| serde_json::from_str(token).ok()).unwrap_or_default();
        let given = takes.arguments(&arguments(&undo.call), &result);
        // What it answers "no" to is not taken back.
        let done = function(callee, store, instance, &given).await?.and_then(|reply| match reply.is_error {
            false => Ok(Outcome::Reply(Reply::default())),
            true => {
                let said = reply.content.into_iter().find_map(|block| match block.content {
                    Content::Text(text) => Some(text),
                    _ => None,
                });
                Err(Failure::new(FailureKind::Permanent, said.unwrap_or_default()))
            }
        });
        Ok(done)
    }
}

/// As the log and `inspect` tell it.
fn reason(place: &dyn Display, why: &str) -> String {
    format!("`{place}`: {why}")
}

/// Where the component's `run` is, when it is a command of WASI 0.2.
fn command(component: &Component) -> Option<ComponentExportIndex> {
    let instance = component.get_export_index(None, "wasi:cli/run@0.2.0")?;
    component.get_export_index(Some(&instance), "run")
}

fn arguments(call: &Call) -> Map<String, Value> {
    // What does not parse was refused before.
    call.arguments.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A tool of which no more is known.
fn declared(
    name: &str,
    description: String,
    input: &Value,
    output: Option<&Value>,
) -> Result<ToolSpec, ToolSpecError> {
    let refused = |which| move |error| ToolSpecError::Schema { tool: name.to_owned(), which, error };
    let output = output.map(|output| Schema::parse(&output.to_string()).map_err(refused("output")));
    let input = Schema::for_arguments(&input.to_string()).map_err(refused("input"))?;
    Ok(ToolSpec { description: Some(description), output: output.transpose()?, ..ToolSpec::new(name, input) })
}

async fn function(
    function: &Function,
    store: &mut Store<State>,
    instance: &Instance,
    arguments: &Map<String, Value>,
) -> wasmtime::Result<Result<Reply, Failure>> {
    let parameters = match value::members(&function.parameters, arguments) {
        Ok(members) => members.into_iter().map(|(_, value)| value).collect::<Vec<_>>(),
        Err(mismatch) => return Ok(Err(mismatch.into())),
    };
    let callee = instance.get_func(&mut *store, function.index);
    let callee = callee.ok_or_else(|| wasmtime::format_err!("`{}` is no function", function.place))?;
    // What stands there is overwritten.
    let mut results = vec![Val::Bool(false); usize::from(function.returns != Returns::Nothing)];
    callee.call_async(&mut *store, &parameters, &mut results).await?;
    Ok(result(&function.returns, results.pop()))
}

/// What a function gave, as the result of a call.
fn result(returns: &Returns, value: Option<Val>) -> Result<Reply, Failure> {
    let told = |shape, value| {
        value::lift(shape, value).map_err(|mismatch| {
            Failure::new(FailureKind::InvalidOutput, format!("its result cannot be told in JSON: {mismatch}"))
        })
    };
    let (shape, value) = match (returns, value) {
        (Returns::Value(shape), Some(value)) => (shape, value),
        (Returns::Fallible(Some(shape), _), Some(Val::Result(Ok(Some(value))))) => (shape, *value),
        (Returns::Fallible(_, shape), Some(Val::Result(Err(error)))) => {
            let error = shape.as_ref().zip(error).map(|(shape, error)| told(shape, *error)).transpose()?;
            let message = match error {
                None => "it failed, and does not say why".to_owned(),
                Some(Value::String(text)) => text,
                Some(value) => value.to_string(),
            };
            // An answer of "no". A failure of ours would promise more: that nothing took effect, which nobody said.
            return Ok(Reply { content: vec![Block::text(message)], is_error: true, ..Reply::default() });
        }
        _ => return Ok(Reply::default()),
    };
    let value = told(shape, value)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(Reply {
        content: vec![Block::text(text)],
        structured: Some(functions::wrapped(shape, value)),
        ..Reply::default()
    })
}

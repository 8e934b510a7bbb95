//! Tools, and the skill they make up.
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bindings::exports::skillhost::skill::tools::Guest;
use crate::bindings::undo::exports::skillhost::skill::undo;
use crate::types::{Context, Failure, Outcome, Tool};
use crate::undo::Undo;

type Run = fn(&Context, Option<&str>) -> Result<Outcome, Failure>;
type TakeBack = fn(Option<&str>, Undo<'_>) -> Result<(), Failure>;

/// A tool and how to run it. The attribute [`#[tool]`](crate::tool) makes one; [`Definition::new`] makes one by
/// hand.
///
/// The parts are functions so that a call pays for the one tool that it is for, and makes no schema.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    name: &'static str,
    describe: fn() -> Tool,
    run: Run,
    undo: Option<TakeBack>,
}

impl Definition {
    /// A tool that `describe` tells about and `run` runs; `name` must be the one in `describe`. `run` gets the
    /// arguments as a JSON text.
    pub const fn new(name: &'static str, describe: fn() -> Tool, run: Run) -> Self {
        Self { name, describe, run, undo: None }
    }

    /// The same, taken back by `undo`; `describe` must say that the tool is undoable.
    #[must_use]
    pub const fn undoable(self, undo: TakeBack) -> Self {
        Self { undo: Some(undo), ..self }
    }

    /// The tool's name within the skill.
    ///
    /// ```
    /// use skillhost_sdk::prelude::*;
    ///
    /// /// Says hello.
    /// #[tool]
    /// fn hello() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// assert_eq!(hello::definition().name(), "hello");
    /// let outcome = hello::definition().call(&Context::for_tests(), None);
    /// assert_eq!(outcome, Ok(Reply::text("hello").into()));
    /// ```
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The tool as an agent sees it.
    pub fn describe(&self) -> Tool {
        (self.describe)()
    }

    /// Runs the tool. `arguments` is the JSON text of an object; none stands for an empty object.
    pub fn call(&self, ctx: &Context, arguments: Option<&str>) -> Result<Outcome, Failure> {
        (self.run)(ctx, arguments)
    }

    /// Takes back the call `ctx.call_id`. `arguments` are those of the call, `token` is what it left behind.
    ///
    /// # Errors
    /// As its undo function fails; permanent, when it has none.
    pub fn undo(
        &self,
        ctx: &Context,
        arguments: Option<&str>,
        token: Option<&str>,
        force: bool,
    ) -> Result<(), Failure> {
        match self.undo {
            Some(undo) => undo(arguments, Undo { ctx, raw_token: token, force }),
            None => Err(Failure::permanent(format_args!("`{}` cannot be undone", self.name))),
        }
    }
}

/// A skill: what the component exports. [`skill!`](crate::skill) makes one from a list of tools; implement it
/// by hand when the list depends on more than the source, and export it with
/// [`export_skill!`](crate::export_skill).
pub trait Skill {
    /// All tools of the skill.
    fn list() -> Vec<Tool>;

    /// Runs the tool `name`. [`dispatch`] does that for a list of definitions.
    fn call(ctx: &Context, name: &str, arguments: Option<&str>) -> Result<Outcome, Failure>;
}

/// Runs the tool `name`, one of `tools`.
pub fn dispatch(
    tools: &[Definition],
    ctx: &Context,
    name: &str,
    arguments: Option<&str>,
) -> Result<Outcome, Failure> {
    match tools.iter().find(|tool| tool.name == name) {
        Some(tool) => tool.call(ctx, arguments),
        None => Err(Failure::invalid_input(format_args!("this skill has no tool `{name}`"))),
    }
}

impl<S: Skill> Guest for S {
    fn list() -> Vec<Tool> {
        S::list()
    }

    fn call(ctx: Context, name: String, arguments: Option<String>) -> Result<Outcome, Failure> {
        S::call(&ctx, &name, arguments.as_deref())
    }
}

/// Makes the component offer these tools: functions with the attribute [`#[tool]`](macro@crate::tool), by name or
/// path. Once in a crate. Two tools of the same name do not compile.
///
/// A skill that offers more lists it by kind. Tools with an undo function stand under `undoable`, the others under
/// `tools`:
///
/// ```
/// use skillhost_sdk::prelude::*;
///
/// /// Says hello.
/// #[tool(read_only)]
/// fn hello() -> &'static str {
///     "hello"
/// }
///
/// /// Asks for a greeting.
/// #[prompt]
/// fn greeting() -> String {
///     "Greet me.".into()
/// }
///
/// /// The greeting of the day.
/// #[resource(uri = "greeting://today", mime_type = "text/plain")]
/// fn today() -> String {
///     "Moin".into()
/// }
///
/// skillhost_sdk::skill!(tools: [hello], prompts: [greeting], resources: [today]);
/// # fn main() {}
/// ```
///
/// Last in the list, `completions: function` suggests arguments of prompts and of resource templates: see
/// [`CompletionRequest`](crate::CompletionRequest).
#[macro_export]
macro_rules! skill {
    (
        tools: [$($tool:ty),* $(,)?]
        $(, undoable: [$($undoable:ty),+ $(,)?])?
        $(, prompts: [$($prompt:ty),+ $(,)?])?
        $(, resources: [$($resource:ty),+ $(,)?])?
        $(, completions: $completions:path)?
        $(,)?
    ) => {
        const _: () = {
            const TOOLS: &[$crate::Definition] = &[$(<$tool>::definition(),)* $($(<$undoable>::definition(),)+)?];
            const _: () = $crate::__private::assert_distinct(TOOLS);
            const _: () = $crate::__private::assert_not_undoable(&[$(<$tool>::definition()),*]);

            struct Tools;

            impl $crate::Skill for Tools {
                fn list() -> ::std::vec::Vec<$crate::Tool> {
                    TOOLS.iter().map($crate::Definition::describe).collect()
                }

                fn call(
                    ctx: &$crate::Context,
                    name: &str,
                    arguments: ::std::option::Option<&str>,
                ) -> ::std::result::Result<$crate::Outcome, $crate::Failure> {
                    $crate::dispatch(TOOLS, ctx, name, arguments)
                }
            }

            $crate::export_skill!(Tools);

            $(
                const UNDOABLE: &[$crate::Definition] = &[$(<$undoable>::definition()),+];
                const _: () = $crate::__private::assert_undoable(UNDOABLE);

                struct Undoing;

                impl $crate::__private::Undoing for Undoing {
                    const ALL: &'static [$crate::Definition] = UNDOABLE;
                }

                #[allow(unsafe_code, reason = "exports cross the component's boundary")]
                const _: () = {
                    $crate::bindings::undo::export!(Undoing with_types_in $crate::bindings::undo);
                };
            )?
            $(
                struct Prompts;

                impl $crate::__private::Prompts for Prompts {
                    const ALL: &'static [$crate::PromptDefinition] = &[$(<$prompt>::definition()),+];
                }

                #[allow(unsafe_code, reason = "exports cross the component's boundary")]
                const _: () = {
                    $crate::bindings::prompts::export!(Prompts with_types_in $crate::bindings::prompts);
                };
            )?
            $(
                struct Resources;

                impl $crate::__private::Resources for Resources {
                    const ALL: &'static [$crate::ResourceDefinition] = &[$(<$resource>::definition()),+];
                }

                #[allow(unsafe_code, reason = "exports cross the component's boundary")]
                const _: () = {
                    $crate::bindings::resources::export!(Resources with_types_in $crate::bindings::resources);
                };
            )?
            $(
                struct Completions;

                impl $crate::__private::Completions for Completions {
                    const COMPLETE: $crate::__private::Complete = $completions;
                }

                #[allow(unsafe_code, reason = "exports cross the component's boundary")]
                const _: () = {
                    $crate::bindings::completions::export!(Completions with_types_in $crate::bindings::completions);
                };
            )?
        };
    };
    ($($tool:ty),+ $(,)?) => {
        $crate::skill!(tools: [$($tool),+]);
    };
}

/// Makes the component export a type that implements [`Skill`]. Once in a crate.
#[macro_export]
macro_rules! export_skill {
    ($skill:ident) => {
        #[allow(unsafe_code, reason = "exports cross the component's boundary")]
        const _: () = {
    $crate::bindings::export!($skill with_types_in $crate::bindings);
        };
    };
}

// Not a doc comment: it would stand in the schema.
// The arguments of a function that takes none.
#[doc(hidden)]
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

/// What can be the arguments of a tool.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of a tool",
    note = "take a struct that derives both: `#[derive(Deserialize, JsonSchema)]`"
)]
pub trait Arguments: DeserializeOwned + JsonSchema {}

impl<T: DeserializeOwned + JsonSchema> Arguments for T {}

/// The schema of a tool's arguments.
#[doc(hidden)]
pub fn schema_of<T: Arguments>() -> String {
    crate::input_schema::<T>()
}

/// Reads a tool's arguments. The host has checked them against the schema, so what fails here is what a schema
/// does not say.
#[doc(hidden)]
pub fn parse<T: Arguments>(arguments: Option<&str>) -> Result<T, Failure> {
    serde_json::from_str(arguments.unwrap_or("{}"))
        .map_err(|error| Failure::invalid_input(format_args!("the arguments do not fit: {error}")))
}

/// All tools of a skill that can be taken back.
#[doc(hidden)]
pub trait Undoing {
    const ALL: &'static [Definition];
}

impl<U: Undoing> undo::Guest for U {
    fn undo(
        ctx: Context,
        name: String,
        arguments: Option<String>,
        token: Option<String>,
        force: bool,
    ) -> Result<(), Failure> {
        match U::ALL.iter().find(|tool| tool.name == name) {
            Some(tool) => tool.undo(&ctx, arguments.as_deref(), token.as_deref(), force),
            None => Err(Failure::permanent(format_args!("`{name}` cannot be undone"))),
        }
    }
}

/// Refuses tools with an undo function where those without stand.
#[doc(hidden)]
pub const fn assert_not_undoable(tools: &[Definition]) {
    let mut i = 0;
    while i < tools.len() {
        assert!(
            tools[i].undo.is_none(),
            "a tool with an undo function stands under `undoable`: skill!(tools: [...], undoable: [...])"
        );
        i += 1;
    }
}

/// Refuses tools without an undo function where those with one stand.
#[doc(hidden)]
pub const fn assert_undoable(tools: &[Definition]) {
    let mut i = 0;
    while i < tools.len() {
        assert!(
            tools[i].undo.is_some(),
            "a tool under `undoable` needs an undo function: #[tool(undo = function)]"
        );
        i += 1;
    }
}

/// Refuses two tools of one name while the skill is compiled.
#[doc(hidden)]
pub const fn assert_distinct(tools: &[Definition]) {
    let mut i = 0;
    while i < tools.len() {
        let mut j = i + 1;
        while j < tools.len() {
            assert!(!same(tools[i].name, tools[j].name), "two tools of this skill have the same name");
            j += 1;
        }
        i += 1;
    }
}

/// `==` of strings is not const.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests;

//! Tools, and the skill they make up.
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bindings::exports::skillhost::skill::tools::Guest;
use crate::types::{Context, Failure, Outcome, Tool};

type Run = fn(&Context, Option<&str>) -> Result<Outcome, Failure>;

/// A tool and how to run it. The attribute [`#[tool]`](crate::tool) makes one; [`Definition::new`] makes one by
/// hand.
///
/// The parts are functions so that a call pays for the one tool that it is for, and makes no schema.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    name: &'static str,
    describe: fn() -> Tool,
    run: Run,
}

impl Definition {
    /// A tool that `describe` tells about and `run` runs; `name` must be the one in `describe`. `run` gets the
    /// arguments as a JSON text.
    pub const fn new(name: &'static str, describe: fn() -> Tool, run: Run) -> Self {
        Self { name, describe, run }
    }

    /// The tool's name within the skill.
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
#[macro_export]
macro_rules! skill {
    ($($tool:ty),+ $(,)?) => {
        const _: () = {
            const TOOLS: &[$crate::Definition] = &[$(<$tool>::definition()),+];
            const _: () = $crate::__private::assert_distinct(TOOLS);

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
        };
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

/// Reads a tool's arguments. The host has checked them against the schema, so what fails here is what a schema
/// does not say.
#[doc(hidden)]
pub fn parse<T: DeserializeOwned>(arguments: Option<&str>) -> Result<T, Failure> {
    serde_json::from_str(arguments.unwrap_or("{}"))
        .map_err(|error| Failure::invalid_input(format_args!("the arguments do not fit: {error}")))
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

//! Write skills for skillhost: tools for AI agents, as WebAssembly components.
//!
//! A tool is a function with the attribute [`#[tool]`](tool). Its doc comment is what a model reads, its
//! argument type becomes the input schema, its result type the output schema. [`skill!`] turns a list of
//! tools into the component's exports.
//!
//! ```
//! use skillhost_sdk::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Text {
//!     /// The text to count.
//!     text: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Counts {
//!     words: usize,
//! }
//!
//! /// Counts the words of a text.
//! #[tool(read_only, idempotent, open_world = false)]
//! fn word_count(args: Text) -> Result<Counts, Failure> {
//!     Ok(Counts { words: args.text.split_whitespace().count() })
//! }
//!
//! skillhost_sdk::skill!(word_count);
//! # fn main() {}
//! ```
//!
//! What a function may take and return is told at [`tool`] and [`IntoOutcome`]; how to fail at [`Failure`];
//! how to ask the person or the model at [`ask`]; what the host does during a call in [`host`] and [`log`]. A skill whose list of tools is not known when it
//! is compiled implements [`Skill`] by hand.
//!
//! What reaches outside the sandbox needs a grant of the operator, in `[skills.NAME.grants]` of his configuration:
//!
//! | to | use | grant |
//! |---|---|---|
//! | read and write files | `std::fs` | `files` |
//! | send requests | [`http`] | `http` |
//! | read settings | [`config`] | `config` |
//! | know secrets | [`secrets`] | `secrets` |
//! | keep values | [`keyvalue`] | `keyvalue` |
//! | read variables | `std::env` | `env` |
//! | call other skills' tools | [`host::call`] | `tools` |
//!
//! On other targets than WebAssembly the crate compiles as well, so that skills have ordinary unit tests: call the
//! function itself, or its [`Definition`] with JSON, with a `testing::Host` around it.
#![deny(missing_docs)]

// The paths that the macros write, `::skillhost_sdk::…`, must hold in this crate too.
extern crate self as skillhost_sdk;

pub mod ask;
#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]
pub mod bindings;
mod completion;
pub mod config;
mod context;
mod failure;
pub mod host;
pub mod http;
pub mod keyvalue;
pub mod log;
mod outcome;
mod prompt;
mod reply;
mod resource;
mod schema;
pub mod secrets;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod text;
mod tool;
pub mod undo;

pub use ask::Pause;
pub use bindings::skillhost::skill::types;
pub use completion::{Completion, CompletionRequest, Subject};
pub use outcome::{IntoOutcome, WithText};
pub use prompt::{
    IntoPrompt, Message, Prompt, PromptArgument, PromptDefinition, PromptMessages, PromptOutcome, Role,
};
pub use resource::{
    Described, IntoContents, ReadOutcome, ResourceDefinition, ResourceInfo, ResourceTemplate,
};
pub use schema::{input_schema, output_schema};
pub use skillhost_sdk_macros::{prompt, resource, tool};
pub use tool::{Definition, Skill, dispatch};
pub use types::{
    Annotations, Content, ContentBlock, Context, Failure, InputRequired, Outcome, Reply, TaskSupport, Tool,
};
pub use undo::Undo;

/// All that a usual skill needs, to be imported with `*`.
pub mod prelude {
    pub use crate::types::{Context, Failure, Reply};
    pub use crate::{
        Pause, WithText, ask, config, host, http, keyvalue, log, prompt, resource, secrets, tool,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}

/// What the macros' output refers to; not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::completion::{Complete, Completions};
    pub use crate::outcome::{Fallible, finish};
    pub use crate::prompt::{
        Prompts, arguments as prompt_arguments, finish as finish_prompt, parse as parse_prompt,
    };
    pub use crate::resource::{Resources, finish as finish_resource, fit, parse as parse_resource};
    pub use crate::tool::{
        NoArguments, Undoing, assert_distinct, assert_not_undoable, assert_undoable, parse, schema_of,
    };
}

#[doc(hidden)]
pub use wit_bindgen::rt as __rt;

//! The attributes `#[tool]`, `#[prompt]` and `#[resource]` of `skillhost-sdk`; use it through that crate.
#![deny(missing_docs)]

use proc_macro::TokenStream;
use syn::parse_macro_input;

mod expand;
mod options;
mod prompt;
mod resource;
mod signature;

/// Makes a function a tool of the skill.
///
/// The function stays as it is. Beside it comes a type of the same name whose `definition()` describes the tool
/// and runs it; `skill!` looks for that.
///
/// **The doc comment** becomes the description: it tells a model what the tool does and when to use it.
///
/// **Parameters**, each optional, in any order: the arguments by value, a type that derives `Deserialize` and
/// `JsonSchema` and is an object in JSON; and the context, as `&Context`.
///
/// **Result**: `T`, `Result<T, Failure>`, or `Result<T, Pause>` when it asks, where `T` implements `IntoOutcome`.
///
/// **Options**, as in `#[tool(read_only, open_world = false)]`. What is not said stays unknown, and the host then
/// assumes the worst. An option without a value is `true`.
///
/// | option | meaning |
/// |---|---|
/// | `read_only` | changes nothing |
/// | `destructive` | may destroy or overwrite |
/// | `idempotent` | a second call with the same arguments has no further effect |
/// | `open_world` | deals with things outside a closed world, such as the web |
/// | `durable` | the host must carry out the call even if the first attempts fail |
/// | `task = "…"` | whether a call runs as a task: `no` (as when nothing is said), `optional`, `required`, or `answered`: once what it asks is answered |
/// | `title = "…"` | a name for people |
/// | `name = "…"` | the tool's name, when it is not the function's |
/// | `undo = path` | the function that takes a call back: `fn(Arguments, Undo<'_>) -> Result<(), Failure>` |
#[proc_macro_attribute]
pub fn tool(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::Options);
    let function = parse_macro_input!(item as syn::ItemFn);
    expand::tool(&options, &function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a function a prompt template of the skill. The doc comment becomes its description.
///
/// **Parameters**, each optional, in any order: the arguments by value, a struct whose fields are `String` or
/// `Option<String>` and that derives `Deserialize` and `JsonSchema`; and the context, as `&Context`.
///
/// **Result**: `T`, `Result<T, Failure>`, or `Result<T, Pause>` when it asks, where `T` implements `IntoPrompt`: a
/// `String` is one message of the user.
///
/// **Options**: `title = "…"`, `name = "…"`.
#[proc_macro_attribute]
pub fn prompt(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as prompt::Options);
    let function = parse_macro_input!(item as syn::ItemFn);
    prompt::prompt(&options, &function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a function a resource of the skill. The doc comment becomes its description.
///
/// **Parameters**, each optional, in any order: the values of a template's parts by value, a struct with a field of each
/// part's name that derives `Deserialize`; and the context, as `&Context`.
///
/// **Result**: `T`, `Result<T, Failure>`, or `Result<T, Pause>` when it asks, where `T` implements `IntoContents`: a
/// `String`, a `Vec<u8>`, or an `Option` of one.
///
/// **Options**: `uri = "…"` for one resource, or `template = "…{part}…"` for a family of them; `name = "…"`, `title = "…"`,
/// `mime_type = "…"`.
#[proc_macro_attribute]
pub fn resource(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as resource::Options);
    let function = parse_macro_input!(item as syn::ItemFn);
    resource::resource(&options, &function).unwrap_or_else(syn::Error::into_compile_error).into()
}

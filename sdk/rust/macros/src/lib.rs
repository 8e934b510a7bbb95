//! The attribute `#[tool]` of `skillhost-sdk`; use it through that crate.
#![deny(missing_docs)]

use proc_macro::TokenStream;
use syn::parse_macro_input;

mod expand;
mod options;
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
/// **Result**: `T` or `Result<T, Failure>`, where `T` implements `IntoOutcome`.
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
/// | `title = "…"` | a name for people |
/// | `name = "…"` | the tool's name, when it is not the function's |
#[proc_macro_attribute]
pub fn tool(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::Options);
    let function = parse_macro_input!(item as syn::ItemFn);
    expand::tool(&options, &function).unwrap_or_else(syn::Error::into_compile_error).into()
}

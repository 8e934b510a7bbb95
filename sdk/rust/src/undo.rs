//! Taking back what a call did.
use serde::de::DeserializeOwned;

use crate::types::{Context, Failure};

/// What an undo function is told beside the arguments of the call it takes back.
///
/// ```
/// use skillhost_sdk::{Undo, host, prelude::*};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Set {
///     key: String,
///     value: String,
/// }
///
/// /// Sets a value.
/// #[tool(undo = unset)]
/// fn set(args: Set) -> Result<(), Failure> {
///     let before = keyvalue::get(&args.key)?;
///     // Kept before the first effect: a call that is killed halfway can be taken back.
///     host::prepare_undo_json(&before)?;
///     keyvalue::set(&args.key, args.value.as_bytes())?;
///     Ok(())
/// }
///
/// fn unset(args: Set, undo: Undo<'_>) -> Result<(), Failure> {
///     match undo.token::<Option<Vec<u8>>>()? {
///         Some(Some(before)) => keyvalue::set(&args.key, &before)?,
///         Some(None) => keyvalue::delete(&args.key)?,
///         // The call may never have begun.
///         None => {}
///     }
///     Ok(())
/// }
///
/// skillhost_sdk::skill!(tools: [], undoable: [set]);
///
/// # use skillhost_sdk::testing::Host;
/// # fn main() {
/// let mock = Host::new().value("colour", "red");
/// mock.run(|| set(Set { key: "colour".into(), value: "blue".into() })).unwrap();
/// let token = mock.undo_tokens().pop();
/// let arguments = r#"{"key": "colour", "value": "blue"}"#;
/// mock.run(|| set::definition().undo(&Context::for_tests(), Some(arguments), token.as_deref(), false)).unwrap();
/// assert_eq!(mock.keyvalue(), [("colour".to_owned(), b"red".to_vec())]);
/// # }
/// ```
///
/// It runs in the component that did the call, possibly more than once: a second undo of the same call must succeed.
/// When the world has changed since, fail with [`Failure::conflict`] and touch nothing, unless [`force`](Self::force).
#[derive(Debug, Clone, Copy)]
pub struct Undo<'a> {
    /// The call that is taken back, by its id.
    pub ctx: &'a Context,
    /// The newest token that the call left behind, a JSON text. None means that it may never have begun: look, and if
    /// there is nothing to take back, succeed.
    pub raw_token: Option<&'a str>,
    /// The operator's word to overwrite what has changed since.
    pub force: bool,
}

impl Undo<'_> {
    /// The token, read as a `T`.
    ///
    /// # Errors
    /// A permanent failure, when it is no `T`.
    pub fn token<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let read = |token| {
            serde_json::from_str(token)
                .map_err(|error| Failure::permanent(format_args!("the undo token cannot be read: {error}")))
        };
        self.raw_token.map(read).transpose()
    }
}

/// The undo function of a tool that does nothing but call tools: it has nothing of its own to take back, and the host
/// takes back what they did. Declared undoable, such a tool leaves nothing in doubt even when it is killed.
///
/// ```
/// use skillhost_sdk::{prelude::*, undo};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Pair {
///     from: String,
///     to: String,
/// }
///
/// /// Replaces a note by another.
/// #[tool(destructive, undo = undo::nothing)]
/// fn replace(args: Pair) -> Result<(), Failure> {
///     host::call::<String>("notes_delete", &serde_json::json!({"name": args.from}))?;
///     // When this fails, the host brings the deleted note back.
///     host::call("notes_put", &serde_json::json!({"name": args.to, "text": ""}))
/// }
///
/// skillhost_sdk::skill!(tools: [], undoable: [replace]);
/// # fn main() {
/// # assert_eq!(replace::definition().undo(&Context::for_tests(), Some(r#"{"from": "a", "to": "b"}"#), None, false), Ok(()));
/// # }
/// ```
///
/// # Errors
/// None; its type is that of every undo function.
pub fn nothing<Arguments>(_: Arguments, _: Undo<'_>) -> Result<(), Failure> {
    Ok(())
}

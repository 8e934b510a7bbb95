//! What the host does for a skill during a call, beyond WASI.
//!
//! In unit tests a [`testing::Host`](crate::testing::Host) answers. Where there is none, [`progress`] does nothing,
//! [`cancelled`] says no, and the others answer [`HostError::NotOffered`].
use serde::Serialize;

use crate::reply::to_json;
use crate::types::Reply;

mod call;

pub use call::call;

#[cfg(target_family = "wasm")]
use crate::bindings::skillhost::skill::host as imports;
#[cfg(not(target_family = "wasm"))]
use crate::testing::imports::host as imports;

pub use crate::bindings::skillhost::skill::host::{CallError, HostError};

/// Tells the client how far the call is. `progress` must grow. Cheap to call: the host passes on at most 25
/// reports a second, and the first that reaches `total`.
///
/// ```
/// # use skillhost_sdk::host;
/// host::progress(1.0, Some(3.0), Some("one of three"));
/// ```
pub fn progress(progress: f64, total: Option<f64>, message: Option<&str>) {
    imports::progress(progress, total, message);
}

/// Whether the client gave up on this call. The host ends a cancelled call by itself soon after; asking lets
/// a skill stop at a good place.
///
/// ```
/// # use skillhost_sdk::host;
/// for page in 0..10 {
///     if host::cancelled() {
///         break;
///     }
///     // … work on the page
/// }
/// ```
pub fn cancelled() -> bool {
    imports::cancelled()
}

/// Tells the host that the tools of this skill have changed. It lists them anew once the call is over, and tells the
/// clients.
///
/// ```
/// # use skillhost_sdk::{host, testing::Host};
/// let mock = Host::new();
/// mock.run(host::tools_changed).unwrap();
/// assert_eq!(mock.tools_changed(), 1);
/// ```
///
/// # Errors
/// [`HostError::NotOffered`] outside a call.
pub fn tools_changed() -> Result<(), HostError> {
    imports::tools_changed()
}

/// As [`tools_changed`], of the prompts.
///
/// ```
/// # use skillhost_sdk::{host, testing::Host};
/// let mock = Host::new();
/// mock.run(host::prompts_changed).unwrap();
/// assert_eq!(mock.prompts_changed(), 1);
/// ```
///
/// # Errors
/// As [`tools_changed`].
pub fn prompts_changed() -> Result<(), HostError> {
    imports::prompts_changed()
}

/// As [`tools_changed`], of the list of resources. For what a resource says there is [`resource_updated`].
///
/// ```
/// # use skillhost_sdk::{host, testing::Host};
/// let mock = Host::new();
/// mock.run(host::resources_changed).unwrap();
/// assert_eq!(mock.resources_changed(), 1);
/// ```
///
/// # Errors
/// As [`tools_changed`].
pub fn resources_changed() -> Result<(), HostError> {
    imports::resources_changed()
}

/// Tells the host that a resource of this skill says something else now. Those who subscribed to it are told, at most a
/// few times a second.
///
/// ```
/// # use skillhost_sdk::{host, testing::Host};
/// let mock = Host::new();
/// mock.run(|| host::resource_updated("notes://today")).unwrap();
/// assert_eq!(mock.resources_updated(), ["notes://today"]);
/// ```
///
/// # Errors
/// [`HostError::Invalid`], when the skill has no such resource; [`HostError::Unavailable`], when the call has said it of
/// 1,000 already.
pub fn resource_updated(uri: &str) -> Result<(), HostError> {
    imports::resource_updated(uri)
}

/// Makes the undo token, a JSON text, durable. Call it before the first effect: a call that is killed
/// half-way can then be taken back. At most 64 KiB; the last token of an attempt counts.
///
/// # Errors
/// [`HostError`], when the token is not kept: then do nothing that would have to be taken back.
pub fn prepare_undo(token: &str) -> Result<(), HostError> {
    imports::prepare_undo(token)
}

/// As [`prepare_undo`], with a value instead of its JSON text.
///
/// ```
/// use skillhost_sdk::{host, testing::Host};
///
/// let mock = Host::new();
/// mock.run(|| host::prepare_undo_json(&("old", "new"))).unwrap();
/// assert_eq!(mock.undo_tokens(), [r#"["old","new"]"#]);
/// ```
///
/// # Errors
/// As [`prepare_undo`].
pub fn prepare_undo_json(token: &impl Serialize) -> Result<(), HostError> {
    prepare_undo(&to_json(token))
}

/// Calls another skill's tool by its full name (`skill_tool`). `arguments` is a JSON object. The call has the time this
/// call has left, and is undone with it. The operator grants it: `tools = ["text_*"]`.
///
/// ```
/// use skillhost_sdk::{Reply, host, testing::Host};
///
/// let mock = Host::new().tool("text_word_count", |_| Ok(Reply::text("2")));
/// let reply = mock.run(|| host::call_tool("text_word_count", Some(r#"{"text":"a b"}"#)));
/// assert_eq!(reply, Ok(Reply::text("2")));
/// ```
///
/// [`call`] does the same with values instead of JSON texts, and its errors suit an orchestration.
///
/// # Errors
/// [`CallError`] says whether the call was made, and whether it may have taken effect.
pub fn call_tool(name: &str, arguments: Option<&str>) -> Result<Reply, CallError> {
    imports::call_tool(name, arguments)
}

/// What was refused took no effect: [`Unavailable`](HostError::Unavailable) may pass, the others do not.
impl From<HostError> for crate::Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Unavailable(text) => Self::transient(text),
            HostError::NotOffered(text) | HostError::Denied(text) | HostError::Invalid(text) => {
                Self::permanent(text)
            }
        }
    }
}

//! What the host does for a skill during a call, beyond WASI.
//!
//! In unit tests a [`testing::Host`](crate::testing::Host) answers. Where there is none, [`progress`] does nothing,
//! [`cancelled`] says no, and the others answer [`HostError::NotOffered`].
use serde::Serialize;

use crate::reply::to_json;
use crate::types::{Answer, Question, Reply};

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

/// Tells the host that the tools of this skill have changed.
///
/// ```
/// # use skillhost_sdk::{host, testing::Host};
/// let mock = Host::new();
/// mock.run(host::tools_changed).unwrap();
/// assert_eq!(mock.tools_changed(), 1);
/// ```
///
/// # Errors
/// [`HostError::NotOffered`] by hosts that do not offer it yet.
pub fn tools_changed() -> Result<(), HostError> {
    imports::tools_changed()
}

/// Asks the client in the middle of the call and waits. Possible only where the client has the feature
/// `ask-in-call`, and not after a host call that changed something. Elsewhere, end the call with
/// [`InputRequired`](crate::InputRequired).
///
/// ```
/// use skillhost_sdk::{host, testing::Host, types::{AnswerValue, Ask, Question, Root}};
///
/// let root = Root { uri: "file:///work".into(), name: None };
/// let mock = Host::new().answer("where", AnswerValue::Roots(vec![root]));
/// let question = Question { key: "where".into(), ask: Ask::Roots };
/// let answers = mock.run(|| host::ask_client(&[question])).unwrap();
/// assert_eq!(answers[0].key, "where");
/// ```
///
/// # Errors
/// [`HostError`], when nobody was asked.
pub fn ask_client(questions: &[Question]) -> Result<Vec<Answer>, HostError> {
    imports::ask_client(questions)
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

//! What the host does for a skill during a call, beyond WASI.
//!
//! Outside WebAssembly, in unit tests, there is no host: [`progress`] does nothing, [`cancelled`] says no, and
//! the others answer [`HostError::NotOffered`].
use crate::bindings::skillhost::skill::host;
use crate::types::{Answer, Question, Reply};

pub use host::{CallError, HostError};

/// Whether there is a host to ask. The bindings panic where there is none.
const HOSTED: bool = cfg!(target_family = "wasm");

fn hosted() -> Result<(), HostError> {
    if HOSTED { Ok(()) } else { Err(HostError::NotOffered("there is no host".into())) }
}

/// Tells the client how far the call is. `progress` must grow. Cheap to call: the host passes on at most 25
/// reports a second, and the first that reaches `total`.
pub fn progress(progress: f64, total: Option<f64>, message: Option<&str>) {
    if HOSTED {
        host::progress(progress, total, message);
    }
}

/// Whether the client gave up on this call. The host ends a cancelled call by itself soon after; asking lets
/// a skill stop at a good place.
pub fn cancelled() -> bool {
    HOSTED && host::cancelled()
}

/// Tells the host that the tools of this skill have changed.
pub fn tools_changed() -> Result<(), HostError> {
    hosted()?;
    host::tools_changed()
}

/// Asks the client in the middle of the call and waits. Possible only where the client has the feature
/// `ask-in-call`, and not after a host call that changed something. Elsewhere, end the call with
/// [`InputRequired`](crate::InputRequired).
pub fn ask_client(questions: &[Question]) -> Result<Vec<Answer>, HostError> {
    hosted()?;
    host::ask_client(questions)
}

/// Makes the undo token, a JSON text, durable. Call it before the first effect: a call that is killed
/// half-way can then be taken back. At most 64 KiB; the last token of an attempt counts.
pub fn prepare_undo(token: &str) -> Result<(), HostError> {
    hosted()?;
    host::prepare_undo(token)
}

/// Calls another skill's tool by its full name (`skill_tool`), if granted. `arguments` is a JSON object. The
/// call has the time this call has left, and is undone with it.
pub fn call_tool(name: &str, arguments: Option<&str>) -> Result<Reply, CallError> {
    hosted().map_err(CallError::Refused)?;
    host::call_tool(name, arguments)
}

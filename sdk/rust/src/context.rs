//! The context of a call.
use crate::types::{ClientFeatures, Context};

impl Context {
    /// A context for unit tests: the first attempt of a call by `local`, with a minute left, from a client
    /// without features.
    ///
    /// ```
    /// # use skillhost_sdk::Context;
    /// let ctx = Context { attempt: 2, ..Context::for_tests() };
    /// assert_eq!(ctx.caller, "local");
    /// ```
    pub fn for_tests() -> Self {
        Self {
            call_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            correlation_id: "test".into(),
            attempt: 1,
            time_left_ms: 60_000,
            caller: "local".into(),
            client: ClientFeatures::empty(),
            meta: None,
            round: None,
        }
    }
}

//! Calls that ask before they go on, and come again with answers.

use skillhost_core::{CallId, Failure, FailureKind, InputRequired, Round};

use super::Dispatcher;
use crate::{
    Asking, Given,
    asking::{About, Opened, Purpose},
};

impl Dispatcher {
    /// What came back with a later round; none for a first one.
    pub(super) fn opened(
        &self,
        purpose: &Purpose<'_>,
        given: Option<&Given>,
    ) -> Result<Option<Opened>, Failure> {
        match (given, &self.recovery) {
            (Some(given), Some(recovery)) => recovery.answered(purpose, given),
            _ => Ok(None),
        }
    }

    /// What goes out with the questions.
    pub(super) fn ask(
        &self,
        purpose: &Purpose<'_>,
        of: (CallId, About, Option<&Round>),
        asked: InputRequired,
    ) -> Result<Asking, Failure> {
        let none =
            || Failure::new(FailureKind::JournalUnavailable, "this host keeps no key to seal questions with");
        self.recovery.as_ref().ok_or_else(none)?.ask(purpose, of, asked)
    }
}

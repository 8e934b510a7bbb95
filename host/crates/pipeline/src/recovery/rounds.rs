//! Calls that end a round with questions: what goes out and comes back, and that answers count once.

use skillhost_core::{CallId, Failure, FailureKind, InputRequired, Round};

use super::{Recovery, unavailable};
use crate::asking::{self, About, Asking, Given, Opened, Purpose};

impl Recovery {
    /// What the questions are sent out with.
    pub(crate) fn ask(
        &self,
        purpose: &Purpose<'_>,
        of: (CallId, About, Option<&Round>),
        asked: InputRequired,
    ) -> Result<Asking, Failure> {
        asking::seal(&self.sealer, purpose, of, asked, (self.now(), self.settings.answer_within))
    }

    /// What came back; none when the call is a first round.
    pub(crate) fn answered(&self, purpose: &Purpose<'_>, given: &Given) -> Result<Option<Opened>, Failure> {
        asking::open(&self.sealer, purpose, given, self.now())
    }

    /// Use the answers up, for a tool that must not run twice on them.
    pub(crate) async fn spend(&self, opened: &Opened) -> Result<(), Failure> {
        let spent = self.journal.spend(opened.call, opened.round.number, opened.expires).await;
        if spent.map_err(|error| unavailable(&error))? {
            return Ok(());
        }
        let text = format!("these answers were used before, for the call {}", opened.call);
        Err(Failure::new(FailureKind::InvalidAnswers, text))
    }

    /// They were not used after all: the same answers may come again.
    pub(crate) async fn unspend(&self, opened: &Opened) {
        if let Err(error) = self.journal.unspend(opened.call, opened.round.number).await {
            tracing::warn!(call_id = %opened.call, %error, "answers stay used up though nothing was done with them");
        }
    }
}

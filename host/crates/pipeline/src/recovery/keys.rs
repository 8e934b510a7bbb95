//! Idempotency keys: what a key that is held gives.

use std::sync::PoisonError;

use skillhost_core::{Call, CallId, Digest, Failure, FailureKind, Reply};
use skillhost_journal::{Key, Known, State};
use tokio_util::sync::CancellationToken;

use super::{ELSEWHERE, Recovery, outcome, unavailable};
use crate::{Standing, cancelled};

/// What a key that is held gives.
pub(crate) enum Held {
    /// The outcome that was kept.
    Outcome(CallId, Reply),
    /// Where the call is.
    At(Standing),
}

impl Recovery {
    /// A key as it is kept. `canonical` are the arguments.
    pub(crate) fn key(&self, key: &str, canonical: Option<&str>) -> Result<Key, Failure> {
        let fingerprint: Digest =
            self.sealer.fingerprint(canonical.unwrap_or_default()).map_err(|error| unavailable(&error))?;
        Ok(Key { key: key.to_owned(), fingerprint, expires: self.now().plus(self.settings.key_ttl) })
    }

    /// What is known of a key that is held. A call that runs under it is waited for, within bounds.
    pub(crate) async fn held(
        &self,
        call: &Call,
        tool: &str,
        key: &Key,
        cancel: &CancellationToken,
    ) -> Result<Option<Held>, Failure> {
        let patience = self.clock.now() + self.settings.key_wait;
        loop {
            let now = self.now();
            let known = self.journal.known(call.caller.as_str(), tool, &key.key, now).await;
            let Some(known) = known.map_err(|error| unavailable(&error))? else { return Ok(None) };
            if known.fingerprint != key.fingerprint {
                return Err(Failure::new(
                    FailureKind::KeyConflict,
                    format!(
                        "the key `{}` was used before with other arguments, for the call {}",
                        key.key, known.id
                    ),
                ));
            }
            let runs = known.record.as_ref().is_some_and(|record| record.state == State::Running);
            if !runs || self.clock.now() >= patience {
                return Ok(Some(self.answer(known)));
            }
            let flight = self.flights.lock().unwrap_or_else(PoisonError::into_inner).get(&known.id).cloned();
            let ended = async {
                match flight {
                    // It is dropped when the call has ended.
                    Some(mut flight) => while flight.ended.changed().await.is_ok() {},
                    None => {
                        // Its process may be dead, and nobody have seen it yet.
                        if let Err(error) = self.take_over().await {
                            tracing::warn!(%error, "recovery: the journal cannot be used now");
                        }
                        tokio::time::sleep(ELSEWHERE).await;
                    }
                }
            };
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep_until(patience.into()) => {}
                () = cancel.cancelled() => return Err(cancelled()),
            }
        }
    }

    fn answer(&self, known: Known) -> Held {
        let Some(record) = known.record else {
            return Held::At(Standing::archived(known.id));
        };
        let taken_back = record.undo.is_some() || record.rollback.is_some();
        match outcome(&record).filter(|_| !taken_back) {
            Some(reply) => Held::Outcome(record.id, reply),
            None => Held::At(Standing::of(&record, self.now())),
        }
    }
}

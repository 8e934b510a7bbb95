//! Waiting for a turn: the asynchronous half of a concurrency limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use skillhost_core::{Failure, FailureKind};
use skillhost_policy::{ConcurrencyLimit, Deadline};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::cancelled;

/// How long one who finds no room should stay away.
const COME_BACK: Duration = Duration::from_secs(1);

/// So many calls at once, the others in a queue: first come, first served.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: ConcurrencyLimit,
    free: Arc<Semaphore>,
    waiting: AtomicU32,
    refused: AtomicU64,
}

/// A turn. Dropping it gives it to the next.
pub(crate) type Slot = OwnedSemaphorePermit;

/// One in the queue.
struct Place<'a>(&'a AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    pub(crate) fn new(limit: ConcurrencyLimit) -> Self {
        let free = Arc::new(Semaphore::new(limit.max as usize));
        Self { limit, free, waiting: AtomicU32::new(0), refused: AtomicU64::new(0) }
    }

    pub(crate) fn limit(&self) -> &ConcurrencyLimit {
        &self.limit
    }

    /// Calls that run, calls that wait, and calls that were refused.
    pub(crate) fn figures(&self) -> (u32, u32, u64) {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        let running = self.limit.max.saturating_sub(free);
        (running, self.waiting.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Wait for a turn. `whose` are the calls that count.
    pub(crate) async fn take(
        &self,
        whose: impl FnOnce() -> String,
        deadline: Deadline,
        cancel: &CancellationToken,
    ) -> Result<Slot, Failure> {
        // Whoever is in the queue is served first: a free turn means that nobody is.
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(slot);
        }
        Box::pin(self.wait(whose, deadline, cancel)).await
    }

    async fn wait(
        &self,
        whose: impl FnOnce() -> String,
        deadline: Deadline,
        cancel: &CancellationToken,
    ) -> Result<Slot, Failure> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limit.queue {
            drop(Place(&self.waiting));
            return Err(self.refuse(whose, "the queue is full"));
        }
        let _place = Place(&self.waiting);
        tokio::select! {
            biased;
            slot = Arc::clone(&self.free).acquire_owned() => Ok(slot.expect("never closed")),
            () = cancel.cancelled() => Err(cancelled()),
            () = tokio::time::sleep_until(deadline.at().into()) => {
                Err(self.refuse(whose, "the call's time was over before its turn came"))
            }
            () = tokio::time::sleep(self.limit.wait) => Err(self.refuse(whose, "no turn came in time")),
        }
    }

    fn refuse(&self, whose: impl FnOnce() -> String, why: &str) -> Failure {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let text = format!("{} calls of {} run already and {why} (`concurrency`)", self.limit.max, whose());
        Failure::new(FailureKind::Overloaded, text).retry_after(COME_BACK)
    }
}

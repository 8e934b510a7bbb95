//! Checks that may take long, away from the threads that serve I/O and keep deadlines.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use skillhost_core::{Failure, FailureKind};
use skillhost_policy::Deadline;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Work up to this much, in the measure of `Schema::work`, is done in place: well under a millisecond, less
/// than handing it over is worth.
const IN_PLACE: u64 = 1_000_000;

/// Runs checks, the heavy ones beside and only as many at once as there are cores.
pub(crate) struct Checks {
    turns: Arc<Semaphore>,
}

impl Checks {
    pub(crate) fn new() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { turns: Arc::new(Semaphore::new(cores)) }
    }

    /// Run `check`, which is `work` much work. Work that is abandoned ends by itself: schemas bound it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: u64,
        deadline: Deadline,
        cancel: &CancellationToken,
        check: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        if work <= IN_PLACE {
            return check();
        }
        // Boxed, for it is rare: a future has room for the largest way through it, and is moved as a whole.
        Box::pin(self.aside(deadline, cancel, check)).await
    }

    async fn aside<T: Send + 'static>(
        &self,
        deadline: Deadline,
        cancel: &CancellationToken,
        check: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let turns = Arc::clone(&self.turns);
        let aside = async {
            let turn = turns.acquire_owned().await.expect("never closed");
            tokio::task::spawn_blocking(move || {
                // Also when nobody waits any more: the core is busy until the end.
                let _turn = turn;
                check()
            })
            .await
        };
        tokio::select! {
            checked = aside => checked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
            () = cancel.cancelled() => Err(crate::cancelled()),
            () = tokio::time::sleep_until(deadline.at().into()) => Err(Failure::new(
                FailureKind::Timeout,
                format!("the call took longer than {}", deadline.told()),
            )),
        }
    }
}

//! Charging a call to its rate limits: to all of them, or to none.

use std::time::{Duration, Instant};

use skillhost_core::{Failure, FailureKind};
use skillhost_policy::{Counts, Deadline, RateLimiter, Refused};
use tokio_util::sync::CancellationToken;

use crate::cancelled;

/// A limit that a call is charged to.
pub(crate) struct Level<'a> {
    pub(crate) limiter: Option<&'a RateLimiter>,
    /// Figures over several limiters of a kind.
    pub(crate) together: Option<&'a Counts>,
    /// Whose limit it is, for people.
    pub(crate) whose: &'a (dyn Fn() -> String + Sync),
}

/// Charge `cost` to every level, narrowest first, and wait until the tokens are there.
pub(crate) async fn charge(
    levels: &[Level<'_>],
    cost: u32,
    now: Instant,
    deadline: Deadline,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let mut reserved = Reserved { levels, cost, due: [None; 4], from: Duration::ZERO };
    let mut wait = Duration::ZERO;
    for (level, due) in levels.iter().zip(&mut reserved.due) {
        let Some(limiter) = level.limiter else { continue };
        let shadow = limiter.limit().shadow;
        let decision = limiter.take(now, cost);
        if let Some(together) = level.together {
            together.note(&decision, shadow);
        }
        match decision {
            Ok(after) => {
                *due = Some(after);
                wait = wait.max(after);
            }
            Err(_) if shadow => {
                tracing::debug!(limit = (level.whose)(), "over the rate limit, which is in shadow mode");
            }
            // Dropping `reserved` gives back what the levels before this one took.
            Err(refused) => return Err(refusal(level, limiter, refused, cost)),
        }
    }
    if !wait.is_zero() {
        if wait >= deadline.remaining(now) {
            let text = "the rate limit leaves the call no time: its turn comes after its deadline";
            return Err(Failure::new(FailureKind::RateLimited, text).retry_after(wait));
        }
        // Tokens that were there may have refilled meanwhile: only those waited for go back from here on.
        reserved.from = Duration::from_nanos(1);
        let waited = async {
            tokio::select! {
                () = tokio::time::sleep(wait) => Ok(()),
                () = cancel.cancelled() => Err(cancelled()),
            }
        };
        Box::pin(waited).await?;
    }
    reserved.due = [None; 4];
    Ok(())
}

/// Tokens that go back when the call does not take place after all.
struct Reserved<'a> {
    levels: &'a [Level<'a>],
    cost: u32,
    /// How long each level's are waited for, where they were taken.
    due: [Option<Duration>; 4],
    /// Those that are waited for at least this long go back.
    from: Duration,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        for (level, due) in self.levels.iter().zip(&self.due) {
            if let (Some(limiter), Some(due)) = (level.limiter, due)
                && *due >= self.from
            {
                limiter.give_back(self.cost);
                if let Some(together) = level.together {
                    together.forget();
                }
            }
        }
    }
}

fn refusal(level: &Level<'_>, limiter: &RateLimiter, refused: Refused, cost: u32) -> Failure {
    let (limit, whose) = (limiter.limit(), (level.whose)());
    match refused {
        Refused::After(wait) => {
            let text = format!(
                "the rate limit of {whose} is used up ({} at once, {} a second)",
                limit.capacity(),
                limit.rate.get()
            );
            Failure::new(FailureKind::RateLimited, text).retry_after(wait)
        }
        // The configuration is checked for this.
        Refused::Never => {
            let text =
                format!("a call costs {cost}; the limit of {whose} never has more than {}", limit.capacity());
            Failure::new(FailureKind::Permanent, text)
        }
    }
}

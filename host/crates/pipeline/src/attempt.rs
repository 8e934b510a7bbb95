//! One attempt, under the call's deadline and the client's patience.

use std::{task::Poll, time::Duration};

use skillhost_core::{Attempt, Failure, FailureKind, Instance, Report, Usage};
use skillhost_policy::Deadline;
use tokio_util::sync::CancellationToken;

/// How long an ended guest may take to go away before we answer without its figures. It goes within a few
/// milliseconds unless the machine is overloaded.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// Also answers what has not gone away by then.
pub(crate) async fn run(
    mut attempt: Box<dyn Attempt>,
    deadline: Deadline,
    cancel: &CancellationToken,
) -> (Report, Option<Box<dyn Attempt>>) {
    // Most calls end where they begin: nothing is set up for those to be ended.
    if let Poll::Ready(report) = futures::poll!(&mut attempt) {
        return (report, None);
    }
    Box::pin(waited(attempt, deadline, cancel)).await
}

async fn waited(
    mut attempt: Box<dyn Attempt>,
    deadline: Deadline,
    cancel: &CancellationToken,
) -> (Report, Option<Box<dyn Attempt>>) {
    let why = tokio::select! {
        // In this order: an answer that is there counts, however late we look; and who is ended by a caller whose time was
        // over in the same moment has used up its own.
        biased;
        report = &mut attempt => return (report, None),
        () = tokio::time::sleep_until(deadline.at().into()) => FailureKind::Timeout,
        () = cancel.cancelled() => FailureKind::Cancelled,
    };
    attempt.abort();
    let ended = tokio::time::timeout(GRACE, &mut attempt).await;
    // Unknown counts as started: better to say "may have taken effect" than to be wrong.
    let (usage, lingering) = match ended {
        Ok(report) => (report.usage, None),
        Err(_) => (Usage { started: true, ..Usage::default() }, Some(attempt)),
    };
    (
        Report { result: Err(failure(why, deadline, usage.started)), usage, instance: Instance::default() },
        lingering,
    )
}

fn failure(why: FailureKind, deadline: Deadline, started: bool) -> Failure {
    let limit = deadline.told();
    match (why, started) {
        (FailureKind::Timeout, true) => {
            Failure::new(FailureKind::Timeout, format!("the call took longer than {limit} and was ended"))
        }
        (FailureKind::Timeout, false) => Failure::new(
            FailureKind::Overloaded,
            format!("the host was too busy to begin the call within {limit}"),
        )
        .retry_after(Duration::from_secs(1)),
        _ => Failure::new(FailureKind::Cancelled, "the client gave up on the call; it was ended"),
    }
}

//! How far the host's end is: first nothing new begins, then what still runs is ended.

use tokio_util::sync::CancellationToken;

/// See [`Dispatcher::close`](crate::Dispatcher::close) and [`Dispatcher::cut`](crate::Dispatcher::cut).
#[derive(Clone, Default)]
pub(crate) struct Stopping {
    /// Nothing new begins, and nobody waits for another try.
    pub(crate) closing: CancellationToken,
    /// What runs is ended; a roll-back stops after the step that it is at.
    pub(crate) cut: CancellationToken,
}

//! What may stand in for the network.

use bytes::Bytes;
use http::{Request, Response};

/// Answers the requests of skills in the place of the network: for hosts that try skills out.
///
/// Only what was granted is asked for; bodies are bounded by the grant, as ever.
pub trait Upstream: Send + Sync {
    /// The answer. None: nobody is there, and the guest is told that the connection was refused.
    fn answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>>;
}
